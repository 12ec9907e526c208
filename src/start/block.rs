//! The block of text that the start prints: what is served, where, and what to do next. Pure but for [`hostname`].

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use super::address::Address;
use super::{shell_word, size_text};

/// Table names shown before the rest is counted.
const NAMES_SHOWN: usize = 8;

/// Where a line is broken between names.
const WIDTH: usize = 80;

/// The column at which the values stand.
const INDENT: usize = 12;

/// What the block tells.
#[derive(Clone, Debug)]
pub struct Block<'a> {
    /// The program's version, with what else belongs on the line.
    pub version: &'a str,
    /// The database as the user named it.
    pub database: &'a Path,
    /// Its size in bytes.
    pub size: u64,
    /// Its journal mode, in words.
    pub journal_mode: &'a str,
    /// Where requests are taken, as bound: port 0 has become a port.
    pub listen: &'a [Address],
    /// Where operators' requests are taken, when that is apart.
    pub ops: Option<&'a Address>,
    /// This machine's name, see [`hostname`].
    pub hostname: &'a str,
    /// The configuration's file and, if it has one, the name of the token that opens /-/.
    pub configuration: Option<(&'a Path, Option<&'a str>)>,
    /// The named routes, `GET /api/latest/:sensor`.
    pub routes: &'a [String],
    /// The names of the tables and views that are served.
    pub tables: &'a [String],
    /// The memory sheet's total in bytes.
    pub memory_total: u64,
    /// What the process has given up, see `sandbox::line`.
    pub sandbox: &'a str,
    /// Sentences that the reader should know, one a line.
    pub notes: &'a [String],
    /// Whether it is the example of `--demo`.
    pub demo: bool,
    /// The token of the example's write route.
    pub token: Option<&'a str>,
    /// What stood on the command line beside the address, quoted for a shell.
    pub served: &'a str,
}

impl Block<'_> {
    /// The block, ending in a newline. Control characters of names are escaped: it goes to a terminal.
    pub fn render(&self) -> String {
        let mut text = format!("flagstone {}\n", self.version);
        let size = size_text(self.size);
        line(&mut text, "database", &format!("{} ({size}, {})", shell_word(self.database), self.journal_mode));
        if let Some((file, _)) = self.configuration {
            line(&mut text, "config", &shell_word(file));
        }
        let mut label = "serving";
        for place in self.listen.iter().flat_map(|address| self.places(address)) {
            line(&mut text, label, &place);
            label = "";
        }
        if let Some(status) = self.status() {
            line(&mut text, "status", &status);
        }
        match (self.routes, self.tables) {
            (routes, []) if !routes.is_empty() => {}
            (_, tables) => names(&mut text, "tables", tables),
        }
        if !self.routes.is_empty() {
            names(&mut text, "routes", self.routes);
        }
        line(&mut text, "memory", &format!("{}, fixed; it will not grow", size_text(self.memory_total)));
        line(&mut text, "sandbox", self.sandbox);
        if let Some(command) = self.open_command() {
            line(&mut text, "network", "only this machine can reach it; to open it to your network:");
            line(&mut text, "", &command);
        }
        for note in self.notes {
            line(&mut text, "note", note);
        }
        if self.demo {
            self.try_these(&mut text);
        }
        text
    }

    /// The URLs of an address that a person can click or type, from here and from elsewhere.
    fn places(&self, address: &Address) -> Vec<String> {
        match address {
            Address::Unix(path) => vec![format!("curl --unix-socket {} http://localhost/", shell_word(path))],
            Address::Tcp(address) if address.ip().is_unspecified() => {
                let port = address.port();
                vec![url(&here(*address)), format!("http://{}.local:{port}/", self.short_name())]
            }
            Address::Tcp(address) => vec![url(address)],
        }
    }

    /// The machine's name without a domain: mDNS adds its own.
    fn short_name(&self) -> &str {
        self.hostname.split('.').next().filter(|name| !name.is_empty()).unwrap_or("localhost")
    }

    /// The first place where `/-/status` answers in full: the operators' listener, or loopback.
    fn status(&self) -> Option<String> {
        let on = |address: &Address| match address {
            Address::Tcp(address) => Some(format!("{}-/status", url(&here(*address)))),
            Address::Unix(path) => Some(format!("curl --unix-socket {} http://localhost/-/status", shell_word(path))),
        };
        if let Some(ops) = self.ops {
            return on(ops);
        }
        if let Some((_, token)) = self.configuration {
            // Behind a proxy everyone looks near.
            return token.and_then(|token| Some(format!("{} (with the token {token})", on(self.listen.first()?)?)));
        }
        // From elsewhere than loopback nothing but /-/health and /-/ready is answered.
        let is_near = |address: &&Address| match address {
            Address::Tcp(address) => address.ip().is_unspecified() || address.ip().is_loopback(),
            Address::Unix(_) => true,
        };
        self.listen.iter().find(is_near).and_then(on)
    }

    /// How to open it to the network, when nothing but loopback and sockets is listened on.
    fn open_command(&self) -> Option<String> {
        let mut ports = self.listen.iter().map(|address| match address {
            Address::Tcp(address) if address.ip().is_loopback() => Some(address.port()),
            Address::Tcp(_) => None,
            Address::Unix(_) => Some(8080),
        });
        let port = ports.next()??;
        if ports.any(|port| port.is_none()) {
            return None;
        }
        Some(format!("flagstone -l :{port} {}", self.served))
    }

    /// Lines for the example's reader to copy.
    fn try_these(&self, text: &mut String) {
        let Some(first) = self.listen.first() else {
            return;
        };
        let (curl, base) = match first {
            Address::Tcp(address) => ("curl -s".to_owned(), url(&here(*address))),
            Address::Unix(path) => (format!("curl -s --unix-socket {}", shell_word(path)), "http://localhost/".to_owned()),
        };
        text.push_str("\ntry\n");
        for path in [
            "tables/latest",
            "tables/today?select=title,starts_at",
            "tables/readings?sensor=eq.2&order=at.desc&limit=5",
            "tables/sensors/3",
        ] {
            let quote = if path.contains(['?', '&']) { "'" } else { "" };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {curl} {quote}{base}{path}{quote}");
        }
        if let Some(token) = self.token {
            let json = "-H 'Content-Type: application/json' -d '{\"sensor\":2,\"value\":21.5}'";
            let _ = writeln!(text, "  {curl} -H 'Authorization: Bearer {token}' \\\n    {json} {base}api/readings");
        }
    }
}

/// This machine's name, as the kernel knows it.
pub fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// How many names there are, and the first of them.
fn names(text: &mut String, mut label: &str, names: &[String]) {
    let count = names.len();
    if count == 0 {
        return line(text, label, "none yet");
    }
    let mut words: Vec<String> = names.iter().take(NAMES_SHOWN).map(|name| shown(name)).collect();
    for word in words.iter_mut().take(count.min(NAMES_SHOWN) - 1) {
        word.push(',');
    }
    if count > NAMES_SHOWN {
        words.push(format!("and {} more", count - NAMES_SHOWN));
    }
    let mut value = format!("{count}:");
    for word in words {
        if INDENT + value.chars().count() + 1 + word.chars().count() > WIDTH {
            line(text, label, &value);
            label = "";
            value = word;
        } else {
            value.push(' ');
            value.push_str(&word);
        }
    }
    line(text, label, &value);
}

fn line(text: &mut String, label: &str, value: &str) {
    let width = INDENT - 2;
    // Writing to a String cannot fail.
    let _ = writeln!(text, "  {label:<width$}{}", shown(value));
}

/// Without control characters.
fn shown(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

fn url(address: &SocketAddr) -> String {
    // 80 is what http means without a port.
    let text = address.to_string();
    let authority = if address.port() == 80 { text.trim_end_matches(":80") } else { &text };
    format!("http://{authority}/")
}

/// The same port on loopback, when every interface is meant: 0.0.0.0 is no address to go to.
fn here(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        // A listener on [::] also takes IPv4 where the kernel's default stands; ::1 works in either case.
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), address.port()),
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port()),
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (1..=count).map(|number| format!("table_{number}")).collect()
    }

    fn addresses(texts: &[&str]) -> Vec<Address> {
        texts.iter().map(|text| text.parse().expect("an address")).collect()
    }

    fn block<'a>(listen: &'a [Address], tables: &'a [String]) -> Block<'a> {
        Block {
            version: "0.1.0 (SQLite 3.54.0)",
            database: Path::new("data.db"),
            size: 1_234_567,
            journal_mode: "WAL",
            listen,
            ops: None,
            hostname: "pi.example.org",
            configuration: None,
            routes: &[],
            tables,
            memory_total: 209_715_200,
            sandbox: "seccomp, landlock",
            notes: &[],
            demo: false,
            token: None,
            served: "data.db",
        }
    }

    #[test]
    fn on_loopback_it_reads_like_this() {
        let (listen, tables) = (addresses(&["8080"]), names(2));
        let expected = "\
flagstone 0.1.0 (SQLite 3.54.0)
  database  data.db (1.2 MB, WAL)
  serving   http://127.0.0.1:8080/
  status    http://127.0.0.1:8080/-/status
  tables    2: table_1, table_2
  memory    209.7 MB, fixed; it will not grow
  sandbox   seccomp, landlock
  network   only this machine can reach it; to open it to your network:
            flagstone -l :8080 data.db
";
        assert_eq!(block(&listen, &tables).render(), expected);
    }

    #[test]
    fn on_every_interface_it_also_tells_the_name() {
        let (listen, tables) = (addresses(&["0.0.0.0:8080", "[::]:80"]), names(1));
        let text = block(&listen, &tables).render();
        for line in [
            "  serving   http://127.0.0.1:8080/",
            "            http://pi.local:8080/",
            "            http://[::1]/",
            "            http://pi.local:80/",
            "  status    http://127.0.0.1:8080/-/status",
        ] {
            assert!(text.lines().any(|have| have == line), "{line} is missing in:\n{text}");
        }
        assert!(!text.contains("network") && !text.contains("0.0.0.0"), "{text}");
    }

    #[test]
    fn status_is_named_only_where_it_answers() {
        let cases: [(&[&str], Option<&str>, Option<&str>); 5] = [
            (&["192.168.1.5:80"], None, None),
            (&["192.168.1.5:80", "[::1]:81"], None, Some("http://[::1]:81/-/status")),
            (&["192.168.1.5:80"], Some("127.0.0.1:8081"), Some("http://127.0.0.1:8081/-/status")),
            (&["8080"], Some("unix:/run/ops"), Some("curl --unix-socket /run/ops http://localhost/-/status")),
            (&["unix:/run/my s"], None, Some("curl --unix-socket '/run/my s' http://localhost/-/status")),
        ];
        for (listen, ops, expected) in cases {
            let listen = addresses(listen);
            let ops = ops.map(|text| text.parse::<Address>().expect("an address"));
            let block = Block { ops: ops.as_ref(), ..block(&listen, &[]) };
            assert_eq!(block.status().as_deref(), expected, "{listen:?}");
        }
    }

    #[test]
    fn with_a_configuration_routes_are_shown_and_status_needs_its_token() {
        let (listen, routes) = (addresses(&["8080"]), ["GET /api/latest/:sensor".to_owned()]);
        let with =
            |token| Block { configuration: Some((Path::new("f.toml"), token)), routes: &routes, ..block(&listen, &[]) }.render();
        let text = with(Some("admin"));
        assert!(text.contains("  config    f.toml\n") && text.contains("  routes    1: GET /api/latest/:sensor\n"), "{text}");
        assert!(text.contains("/-/status (with the token admin)\n") && !text.contains("tables"), "{text}");
        assert!(!with(None).contains("/-/status"));
    }

    #[test]
    fn the_way_into_the_network_is_told_only_when_it_is_closed() {
        let cases: [(&[&str], Option<&str>); 5] = [
            (&["8081"], Some("flagstone -l :8081 data.db")),
            (&["[::1]:82"], Some("flagstone -l :82 data.db")),
            (&["unix:/run/s"], Some("flagstone -l :8080 data.db")),
            (&["8080", ":8081"], None),
            (&["192.168.1.5:8080"], None),
        ];
        for (listen, expected) in cases {
            let listen = addresses(listen);
            assert_eq!(block(&listen, &[]).open_command().as_deref(), expected, "{listen:?}");
        }
    }

    #[test]
    fn many_tables_are_counted_and_lines_stay_short() {
        let listen = addresses(&["8080"]);
        let tables: Vec<String> = (1..=11).map(|number| format!("a_rather_long_table_name_{number}")).collect();
        let text = block(&listen, &tables).render();
        assert!(text.contains("  tables    11: a_rather_long_table_name_1, "), "{text}");
        assert!(text.contains("name_8 and 3 more\n"), "{text}");
        assert!(!text.contains("name_9"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let text = block(&listen, &names(NAMES_SHOWN)).render();
        assert!(text.contains("table_8\n") && !text.contains("more"), "{text}");
        assert!(block(&listen, &[]).render().contains("  tables    none yet\n"));
    }

    #[test]
    fn the_example_comes_with_lines_to_copy() {
        let (listen, tables) = (addresses(&[":8080"]), names(1));
        let notes = ["nothing is kept".to_owned()];
        let text = Block { demo: true, notes: &notes, ..block(&listen, &tables) }.render();
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("  curl -s ")).collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(lines.contains(&"  curl -s http://127.0.0.1:8080/tables/latest"), "{text}");
        for line in lines {
            let url = line.trim_start_matches("  curl -s ");
            assert_eq!(url.contains('?'), url.starts_with('\''), "the shell leaves it whole: {line}");
        }
        assert!(text.contains("  note      nothing is kept\n"), "{text}");
        let near = addresses(&["8080"]);
        assert!(
            Block { demo: true, served: "--demo x", ..block(&near, &tables) }.render().contains("flagstone -l :8080 --demo x\n")
        );
    }

    #[test]
    fn names_cannot_write_to_the_terminal() {
        let (listen, tables) = (addresses(&["8080"]), vec!["a\u{1b}[2Jb\nc".to_owned()]);
        let text = block(&listen, &tables).render();
        assert!(text.contains("1: a\\u{1b}[2Jb\\nc\n"), "{text}");
    }

    #[test]
    fn this_machine_has_a_name() {
        assert!(!hostname().is_empty());
    }
}
