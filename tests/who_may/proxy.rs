//! A real nginx on the same machine: through it everybody comes from loopback, and nobody is near by for that.
//!
//! Without the nginx binary these tests say so in a line and pass; with CI=true they fail.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use super::{COUNT, SQL, bearer};
use crate::configured::{ADMIN, DISPLAY, ask_from, route, serve, toml};
use crate::server::{Server, wait_for};

/// nginx in front of a server, ended with this.
struct Nginx {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// nginx with these lines beside its `proxy_pass`; `None` where there is none.
fn nginx(server: &Server, lines: &str) -> Option<Nginx> {
    let found = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"]
        .into_iter()
        .find(|path| std::path::Path::new(path).exists());
    let Some(program) = found else {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "nginx is not installed: apt-get install nginx-light");
        eprintln!("nginx is not installed: what comes through a real proxy is not tested");
        return None;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let at = folder.path().display();
    let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary: String = kinds.iter().map(|kind| format!("{kind}_temp_path {at}/{kind};\n")).collect();
    let text = format!(
        "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log; events {{}}\nhttp {{ access_log off;\n{temporary}
         server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://{};\n{lines}\n }} }} }}\n",
        server.address
    );
    let file = folder.path().join("nginx.conf");
    std::fs::write(&file, text).expect("the test's folder");
    let mut command = Command::new(program);
    command.arg("-p").arg(folder.path()).arg("-c").arg(&file).stdout(Stdio::null()).stderr(Stdio::inherit());
    let child = command.spawn().expect("nginx starts");
    let nginx = Nginx { child, address: SocketAddr::from(([127, 0, 0, 1], port)), _folder: folder };
    wait_for("nginx answers", || std::net::TcpStream::connect(nginx.address).is_ok());
    Some(nginx)
}

/// How people write it, and how it is written when nobody thought of it.
const WITH: &str = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header Host $http_host;";
const PARTS: [&str; 6] = [
    WITH,
    "proxy_set_header X-Real-IP $remote_addr;",
    "proxy_set_header X-Forwarded-Proto $scheme;",
    "proxy_set_header X-Forwarded-Host $host;",
    "proxy_set_header Forwarded \"for=$remote_addr\";",
    "proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Via \"1.1 nginx\";",
];
const PAGES: [&str; 4] = ["/-/status", "/-/metrics", "/metrics", "/-/budget"];

#[test]
fn with_a_configuration_a_proxy_opens_nothing() {
    let server = serve(SQL, &toml("", &route("/r", COUNT, "auth = \"display\"")));
    for lines in PARTS.into_iter().chain([""]) {
        let Some(nginx) = nginx(&server, lines) else { return };
        let ask = |method: &str, target: &str, token: Option<&str>| {
            let auth = token.map(bearer);
            let fields: Vec<_> = auth.iter().map(|auth| ("Authorization", auth.as_str())).collect();
            ask_from(1, nginx.address, method, target, &fields)
        };
        for target in PAGES {
            assert_eq!((ask("GET", target, None).status, target), (401, target), "{lines}");
            assert_eq!(ask("GET", target, Some(DISPLAY)).status, 403, "{lines}");
            assert_eq!(ask("GET", target, Some(ADMIN)).status, 200, "{lines}");
        }
        assert_eq!(ask("POST", "/-/reload", None).status, 401, "{lines}");
        assert_eq!(ask("DELETE", "/-/cache", Some(DISPLAY)).status, 403, "{lines}");
        assert_eq!(ask("GET", "/-/health", None).text(), r#"{"status":"ok"}"#, "{lines}");
        assert_eq!((ask("GET", "/r", None).status, ask("GET", "/r", Some(DISPLAY)).status), (401, 200), "{lines}");
    }
}

#[test]
fn without_a_configuration_what_a_proxy_forwards_is_closed() {
    let server = Server::with(SQL);
    for lines in PARTS {
        let Some(nginx) = nginx(&server, lines) else { return };
        for target in PAGES {
            assert_eq!((ask_from(1, nginx.address, "GET", target, &[]).status, target), (403, target), "{lines}");
        }
        assert_eq!(ask_from(1, nginx.address, "GET", "/-/health", &[]).text(), r#"{"status":"ok"}"#, "{lines}");
        assert_eq!(ask_from(1, nginx.address, "GET", "/tables/t/1", &[]).status, 200, "{lines}");
    }
    assert_eq!(server.get("/-/status").status, 200, "near by it is open");
}

#[test]
fn a_client_behind_a_proxy_is_known_by_the_proxys_word() {
    let server = serve(SQL, &toml("", &route("/r", COUNT, "auth = \"display\"")));
    let Some(nginx) = nginx(&server, WITH) else { return };
    let ask = |last, claims: &str, token: &str| {
        ask_from(last, nginx.address, "GET", "/r", &[("Authorization", &bearer(token)), ("X-Forwarded-For", claims)]).status
    };
    for guess in 0..10 {
        assert_eq!(ask(5, &format!("198.51.100.{guess}"), "wrong"), 401);
    }
    assert_eq!(ask(5, "198.51.100.99", "wrong"), 429, "whatever it claims");
    assert_eq!(ask(5, "198.51.100.99", DISPLAY), 429);
    assert_eq!(ask(6, "127.0.0.5", DISPLAY), 200, "another client behind the same proxy");
    assert_eq!(
        ask_from(5, server.address, "GET", "/r", &[("Authorization", &bearer(DISPLAY))]).status,
        429,
        "the same without it"
    );
}

#[test]
fn a_rebound_name_does_not_pass_the_proxy() {
    let server = serve(SQL, &toml("hosts = [\"pi.example.org\"]", &route("/r", COUNT, "")));
    let Some(nginx) = nginx(&server, WITH) else { return };
    for (host, status) in [("pi.example.org", 200), ("localhost", 200), ("evil.example", 421)] {
        assert_eq!((ask_from(1, nginx.address, "GET", "/r", &[("Host", host)]).status, host), (status, host));
    }
}
