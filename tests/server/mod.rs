//! A server of a test's own: the real binary on a free port, with a folder that goes with it, stopped by its pid.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// By how much longer everything takes than on a machine of its own kind: `FLAGSTONE_TEST_PATIENCE` of the build, for emulation.
pub const PATIENCE: u32 = match option_env!("FLAGSTONE_TEST_PATIENCE") {
    None => 1,
    Some(digits) => match u32::from_str_radix(digits, 10) {
        Ok(factor) => factor,
        Err(_) => panic!("FLAGSTONE_TEST_PATIENCE is a factor"),
    },
};

/// How long anything that must happen may take on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(20 * PATIENCE as u64);

/// The binary under test: this build's, or another preset's, which `tools/check-presets.sh` names.
pub fn binary() -> PathBuf {
    std::env::var_os("FLAGSTONE_TEST_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_flagstone").into(), PathBuf::from)
}

/// A running server.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    /// The block printed at the start.
    pub block: String,
    pub folder: tempfile::TempDir,
    /// Brought along to the operators' pages.
    operator: Option<String>,
}

/// How a test starts its server.
pub struct Start {
    folder: tempfile::TempDir,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    stderr: Stdio,
    descriptors: Option<u32>,
    program: PathBuf,
    uid: Option<u32>,
    operator: Option<String>,
    failing: Vec<seccompiler::BpfProgram>,
}

impl Start {
    /// A server without arguments but a free port.
    pub fn new() -> Start {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let arguments = vec!["-l".to_string(), "127.0.0.1:0".to_string()];
        Start {
            folder,
            arguments,
            environment: Vec::new(),
            stderr: Stdio::inherit(),
            descriptors: None,
            program: binary(),
            uid: None,
            operator: None,
            failing: Vec::new(),
        }
    }

    /// A database made by `sql` in the server's folder.
    pub fn sql(self, sql: &str) -> Start {
        let path = self.folder.path().join("data.db");
        rusqlite::Connection::open(&path).expect("a database").execute_batch(sql).expect("the test's SQL");
        self.database(&path)
    }

    pub fn database(mut self, path: &Path) -> Start {
        self.arguments.push(path.to_str().expect("UTF-8").to_string());
        self
    }

    pub fn arguments(mut self, arguments: &[&str]) -> Start {
        self.arguments.extend(arguments.iter().map(ToString::to_string));
        self
    }

    /// Appends the path of `name` in the server's folder to the last argument.
    pub fn folder_argument(mut self, name: &str) -> Start {
        let path = self.folder.path().join(name);
        let last = self.arguments.last_mut().expect("an argument to append to");
        last.push_str(path.to_str().expect("UTF-8"));
        self
    }

    pub fn environment(mut self, name: &str, value: &str) -> Start {
        self.environment.push((name.to_string(), value.to_string()));
        self
    }

    /// Serves by a configuration, which is written beside the database.
    pub fn config(self, toml: impl AsRef<[u8]>) -> Start {
        std::fs::write(self.folder.path().join("flagstone.toml"), toml).expect("the test's folder");
        self.arguments(&["-c"]).arguments(&[""]).folder_argument("flagstone.toml")
    }

    /// The token that the operators' pages ask for.
    pub fn operator(mut self, token: &str) -> Start {
        self.operator = Some(token.to_string());
        self
    }

    /// Serves from the folder of an earlier server, with its state.
    pub fn folder_of(mut self, server: Server) -> Start {
        self.operator.clone_from(&server.operator);
        self.folder = server.into_folder();
        self
    }

    /// Runs another copy of the binary as another user; only root may.
    pub fn user(mut self, program: &Path, uid: u32) -> Start {
        self.program = program.to_owned();
        self.uid = Some(uid);
        self
    }

    /// Runs it on a kernel where these system calls fail with these errors.
    pub fn failing(mut self, calls: &[(libc::c_long, i32)]) -> Start {
        use seccompiler::{SeccompAction, SeccompFilter};
        let arch = std::env::consts::ARCH.try_into().expect("a machine with seccomp");
        self.failing.extend(calls.iter().map(|&(call, errno)| {
            let rules = [(call, Vec::new())].into();
            let filter = SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno as u32), arch);
            filter.expect("two actions").try_into().expect("a small filter")
        }));
        // Each filter knows the call that puts the next one in force; the one that refuses it comes last.
        self
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn stderr(mut self, stderr: Stdio) -> Start {
        self.stderr = stderr;
        self
    }

    /// At most so many open descriptors.
    pub fn descriptors(mut self, limit: u32) -> Start {
        self.descriptors = Some(limit);
        self
    }

    /// Runs it to its end with arguments of its own, in its folder: for what does not serve.
    pub fn output(&self, arguments: &[&str]) -> Output {
        let mut child = self.command().args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let child = child.as_mut().expect("the program starts");
        let (mut out, mut err) = (child.stdout.take().expect("a pipe"), child.stderr.take().expect("a pipe"));
        std::thread::scope(|scope| {
            // One that serves instead of ending must not hang the test.
            let read_out = scope.spawn(move || {
                let mut bytes = Vec::new();
                out.read_to_end(&mut bytes).map(|_| bytes)
            });
            let read_err = scope.spawn(move || {
                let mut bytes = Vec::new();
                err.read_to_end(&mut bytes).map(|_| bytes)
            });
            let status = end_of(child).unwrap_or_else(|| {
                let _ = child.kill();
                child.wait().expect("our child")
            });
            let read = |thread: std::thread::ScopedJoinHandle<std::io::Result<Vec<u8>>>| {
                thread.join().expect("a reader").expect("a pipe")
            };
            Output { status, stdout: read(read_out), stderr: read(read_err) }
        })
    }

    /// The program, behind a shell that lowers the limit and leaves its pid to it where there is one.
    fn command(&self) -> Command {
        let mut command = match self.descriptors {
            None => Command::new(&self.program),
            Some(limit) => {
                let mut command = Command::new("sh");
                command.args(["-c", &format!("ulimit -n {limit}; exec \"$0\" \"$@\"")]).arg(&self.program);
                command
            }
        };
        command.current_dir(self.folder.path()).env("HOME", self.folder.path()).env_remove("STATE_DIRECTORY");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(uid) = self.uid {
            command.uid(uid).gid(uid);
        }
        if !self.failing.is_empty() {
            let filters = self.failing.clone();
            let enter = move || {
                let entered = filters.iter().try_for_each(|filter| seccompiler::apply_filter(filter));
                entered.map_err(|_| std::io::ErrorKind::Unsupported.into())
            };
            // SAFETY: between fork and exec nothing is done but system calls.
            unsafe { command.pre_exec(enter) };
        }
        command
    }

    /// Starts it without waiting for anything; its folder comes back with it.
    pub fn spawn(self) -> (Child, tempfile::TempDir) {
        let mut command = self.command();
        let child = command.args(&self.arguments).stdout(Stdio::piped()).stderr(self.stderr).spawn().expect("the server starts");
        (child, self.folder)
    }

    /// Starts it and waits for its address.
    pub fn run(self) -> Server {
        let mut command = self.command();
        let mut child =
            command.args(&self.arguments).stdout(Stdio::piped()).stderr(self.stderr).spawn().expect("the server starts");
        let mut out = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        let mut block = String::new();
        let mut address = None;
        // The block is printed at once, before the first request; with `serving` its address stands in it.
        while address.is_none() {
            let mut line = String::new();
            if out.read_line(&mut line).expect("stdout") == 0 {
                panic!("the server did not start: {:?}\n{block}", child.wait());
            }
            address = line.split("http://").nth(1).and_then(|rest| rest.trim_end().trim_end_matches('/').parse().ok());
            block.push_str(&line);
        }
        let (address, operator) = (address.expect("the loop's end"), self.operator);
        let mut server = Server { child, address, block, folder: self.folder, operator };
        server.wait_for_ready();
        let mut rest = vec![0; 64 * 1024];
        let descriptor = out.get_ref();
        // What else stands in the pipe, without waiting for more.
        rustix::io::ioctl_fionbio(descriptor, true).expect("a pipe");
        while let Ok(count) = out.read(&mut rest) {
            if count == 0 {
                break;
            }
            server.block.push_str(&String::from_utf8_lossy(&rest[..count]));
        }
        server
    }
}

/// An answer, read whole.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    /// Name in lower case and value, in order.
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("UTF-8")
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The target of `Link: <...>; rel="next"`.
    pub fn next(&self) -> Option<&str> {
        self.field("link")?.strip_prefix('<')?.split_once(">; rel=\"next\"").map(|(target, _)| target)
    }
}

impl Server {
    /// A server over a database made by `sql`.
    pub fn with(sql: &str) -> Server {
        Start::new().sql(sql).run()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn database(&self) -> PathBuf {
        self.folder.path().join("data.db")
    }

    pub fn connect(&self) -> TcpStream {
        connect(self.address)
    }

    pub fn get(&self, target: &str) -> Answer {
        self.request("GET", target, &[])
    }

    pub fn request(&self, method: &str, target: &str, fields: &[(&str, &str)]) -> Answer {
        let mut text = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        for (name, value) in fields {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        let mut stream = self.connect();
        stream.write_all(text.as_bytes()).expect("the request is taken");
        read_answer(&mut stream, method == "HEAD").expect("an answer")
    }

    /// A GET with a token.
    pub fn get_with(&self, token: &str, target: &str) -> Answer {
        self.request("GET", target, &[("Authorization", &format!("Bearer {token}"))])
    }

    /// A request of an operator's, with the token for it where there is one.
    pub fn operate(&self, method: &str, target: &str, body: &str) -> Answer {
        let token = self.operator.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let mut stream = self.connect();
        let head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{token}{length}\r\n{body}");
        stream.write_all(head.as_bytes()).expect("the request is taken");
        read_answer(&mut stream, method == "HEAD").expect("an answer")
    }

    /// A sample of `/-/metrics` by its whole name, labels included.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.operate("GET", "/-/metrics", "").text();
        let sample = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        sample.unwrap_or_else(|| panic!("no sample {name} in {text}")).parse().expect("a number")
    }

    /// The configuration's file.
    pub fn config_path(&self) -> PathBuf {
        self.folder.path().join("flagstone.toml")
    }

    /// Gives the folder away; the process ends.
    fn into_folder(mut self) -> tempfile::TempDir {
        let _ = self.child.kill();
        let _ = self.child.wait();
        std::mem::replace(&mut self.folder, tempfile::tempdir().expect("a temporary folder"))
    }

    /// `/-/status`, whole.
    pub fn status(&self) -> Value {
        let answer = self.operate("GET", "/-/status", "");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// A build constant of the running binary, by its variable's name without `FLAGSTONE_`.
    pub fn setting(&self, name: &str) -> usize {
        let budget = self.operate("GET", "/-/budget", "").json();
        let settings = budget["settings"].as_array().expect("settings").clone();
        let setting = settings.iter().find(|setting| setting["name"] == format!("FLAGSTONE_{name}"));
        setting.and_then(|setting| setting["value"].as_u64()).unwrap_or_else(|| panic!("no setting {name}: {budget}")) as usize
    }

    /// Waits until the status satisfies `condition`, and returns it.
    pub fn wait_for_status(&self, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        wait_for(what, || {
            last = self.status();
            condition(&last)
        });
        last
    }

    fn wait_for_ready(&self) {
        wait_for("the server is ready", || TcpStream::connect(self.address).is_ok() && self.get("/-/ready").status == 200);
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.child.id() as i32).expect("a pid");
        rustix::process::kill_process(pid, signal).expect("our child");
    }

    /// Stops the process where it stands, so that several things can happen between two of its looks; [`Server::thaw`] lets it go on.
    pub fn freeze(&self) {
        self.signal(rustix::process::Signal::STOP);
        wait_for("the server stands still", || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("our child");
            stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
        });
    }

    pub fn thaw(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    /// SIGTERM, and the exit status.
    pub fn stop(mut self) -> ExitStatus {
        self.signal(rustix::process::Signal::TERM);
        self.wait()
    }

    /// Whether the process is over.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("our child").is_some()
    }

    /// The same, and the folder stays.
    pub fn end(&mut self) -> ExitStatus {
        self.signal(rustix::process::Signal::TERM);
        self.wait()
    }

    pub fn wait(&mut self) -> ExitStatus {
        end_of(&mut self.child).expect("the server ends")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The status of a child that ends within the deadline.
pub fn end_of(child: &mut Child) -> Option<ExitStatus> {
    let until = Instant::now() + DEADLINE;
    loop {
        match child.try_wait().expect("our child") {
            None if Instant::now() < until => std::thread::sleep(Duration::from_millis(5)),
            ended => return ended,
        }
    }
}

/// A connection whose reads and writes end with the deadline.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server accepts");
    stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
    stream.set_write_timeout(Some(DEADLINE)).expect("a socket");
    stream
}

/// Waits for a condition, asking every few milliseconds.
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < until, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Reads one answer byte by byte up to its end, so that what follows stays in the stream.
pub fn read_answer(stream: &mut impl Read, head_only: bool) -> std::io::Result<Answer> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut lines = head.trim_end().split("\r\n");
    let status: u16 =
        lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok()).expect("a status line");
    let fields: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_string()))
        .collect();
    let length =
        fields.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().expect("a length"));
    let mut body = vec![0; if head_only || matches!(status, 100 | 204 | 304) { 0 } else { length }];
    stream.read_exact(&mut body)?;
    Ok(Answer { status, fields, body })
}
