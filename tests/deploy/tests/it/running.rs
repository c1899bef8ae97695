//! What stands around a gateway that runs in a copy of a system: visitors, an app, and systemd's part.

use std::{path::PathBuf, process::Command};

use deploy::deploy;

/// systemd's part: it starts and reloads the gateway, and knows which process it is.
pub(crate) const SYSTEMCTL: &str = r#"#!/bin/sh
newest() { pgrep -n -f '^/usr/bin/origin serve'; }
case "$*" in
    *is-active*) newest >/dev/null ;;
    'reload '*) kill -HUP "$(newest)" ;;
    *'--property MainPID'*) newest ;;
esac
"#;

/// Visitors, for as long as the file `stop` is not there: with a connection each, and with one for many requests; over TLS where `CA` names
/// an authority.
pub(crate) const LOAD: &str = r#"
import http.client, os, ssl, threading, time
lock, good, bad = threading.Lock(), 0, []
def note(answer):
    global good
    with lock:
        if answer == 200: good += 1
        else: bad.append(answer)
def connect():
    if not os.environ.get('CA'): return http.client.HTTPConnection('127.0.0.1', 8080, timeout=30)
    trusted = ssl.create_default_context(cafile=os.environ['CA'])
    return http.client.HTTPSConnection('localhost', 8443, timeout=30, context=trusted)
def visit(keep):
    connection = None
    while not os.path.exists('/mnt/stop'):
        try:
            connection = connection or connect()
            connection.request('GET', '/')
            answer = connection.getresponse()
            answer.read()
            note(answer.status)
            if not keep or answer.will_close: connection.close(); connection = None
        except Exception as error:
            note(repr(error)); connection = None
        time.sleep(0.02)
threads = [threading.Thread(target=visit, args=[n % 2 == 0]) for n in range(4)]
for t in threads: t.start()
for t in threads: t.join()
print('visits lost:', len(bad), bad[:3], 'enough:', good > 100)
"#;

/// The app behind it.
pub(crate) const APP: &str = r#"
import http.server
class App(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        self.send_response(200); self.send_header('Content-Length', '5'); self.send_header('Cache-Control', 'no-store'); self.end_headers()
        self.wfile.write(b'hello')
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(('127.0.0.1', 3000), App).serve_forever()
"#;

/// The gateway, built as the stack builds it.
pub(crate) fn gateway() -> PathBuf {
    let root = deploy().join("..").canonicalize().unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["build", "--bin", "origin", "--package", "origin", "--package", "stack", "--message-format=json"])
        .current_dir(root)
        .stderr(std::process::Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success());
    let lines = String::from_utf8(output.stdout).unwrap();
    let messages = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let program = messages.filter_map(|message| Some(message["executable"].as_str()?.to_owned())).next_back();
    program.unwrap().into()
}
