//! Another process with a connection of its own: this test binary again, told by its environment to obey lines on its standard input.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rusqlite::Connection;
use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::types::ValueRef;

const VARIABLE: &str = "FLAGSTONE_TEST_OTHER_PROCESS";
/// What an answer begins with, to be told from the test runner's own lines.
const ANSWER: &str = "\u{1}answer ";

/// The other process; killed when it is dropped.
pub struct Other {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Other {
    pub fn new(path: &Path) -> Other {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["back::tests::other::obeys_when_it_is_the_other_process", "--exact", "--nocapture"])
            .env(VARIABLE, path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut other = Other { child, input, output };
        other.done("");
        other
    }

    /// Runs statements there; what went wrong, or the first column of the last row.
    pub fn run(&mut self, sql: &str) -> Result<String, String> {
        assert!(!sql.contains('\n'));
        self.send(sql);
        self.answer()
    }

    /// Starts statements there without waiting for their end.
    pub fn send(&mut self, sql: &str) {
        writeln!(self.input, "{sql}").unwrap();
    }

    /// What [`Other::send`] came to.
    pub fn answer(&mut self) -> Result<String, String> {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "the other process has ended");
            if let Some((_, answer)) = line.trim_end_matches('\n').split_once(ANSWER) {
                return match answer.strip_prefix("error ") {
                    Some(error) => Err(error.to_string()),
                    None => Ok(answer.to_string()),
                };
            }
        }
    }

    /// [`Other::run`] that must succeed.
    pub fn done(&mut self, sql: &str) -> String {
        self.run(sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// SIGKILL, and its end.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // It may have been killed before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// No test of its own in an ordinary run.
#[test]
fn obeys_when_it_is_the_other_process() {
    let Some(path) = std::env::var_os(VARIABLE) else { return };
    let path = PathBuf::from(path);
    let conn = Connection::open(&path).unwrap();
    conn.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    let mut saved = Vec::new();
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let result = match line.split_once(' ') {
            Some(("!commits", count)) => commits(&conn, count.parse().unwrap()),
            Some(("!shm", what)) => shm(&path, what, &mut saved),
            _ => last_value(&conn, &line),
        };
        match result {
            Ok(value) => println!("{ANSWER}{value}"),
            Err(error) => println!("{ANSWER}error {error}"),
        }
    }
    std::process::exit(0);
}

fn last_value(conn: &Connection, sql: &str) -> Result<String, String> {
    let mut last = String::new();
    let mut batch = rusqlite::Batch::new(conn, sql);
    while let Some(mut statement) = batch.next().map_err(|error| error.to_string())? {
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(|error| error.to_string())? {
            // Some pragmas answer rows without columns.
            last = format!("{:?}", row.get_ref(0).unwrap_or(ValueRef::Null));
        }
    }
    Ok(last)
}

/// As fast as it goes: each commit adds one to the only row of `n`.
fn commits(conn: &Connection, count: u32) -> Result<String, String> {
    for _ in 0..count {
        conn.execute("UPDATE n SET i = i + 1", []).map_err(|error| error.to_string())?;
    }
    Ok(String::new())
}

/// The wal-index's headers, behind SQLite's back: a crash in the middle of writing them, or old ones come back.
fn shm(path: &Path, what: &str, saved: &mut Vec<u8>) -> Result<String, String> {
    let mut name = path.as_os_str().to_owned();
    name.push("-shm");
    // This process takes its own locks away by this, nobody else's.
    let file = std::fs::OpenOptions::new().read(true).write(true).open(name).map_err(|error| error.to_string())?;
    let mut headers = [0; 96];
    file.read_exact_at(&mut headers, 0).map_err(|error| error.to_string())?;
    match what {
        "save" => *saved = headers.to_vec(),
        "restore" => file.write_all_at(saved, 0).map_err(|error| error.to_string())?,
        // Copy 1 is of the next commit already, copy 0 is not: here the writer was killed.
        "tear" => file.write_all_at(&[headers[48 + 8].wrapping_add(1)], 48 + 8).map_err(|error| error.to_string())?,
        _ => return Err(format!("{what}?")),
    }
    Ok(String::new())
}
