//! h2load (of nghttp2): a closed loop with a fixed number of requests, over HTTP/1.1 or HTTP/2, in clear text or TLS.

use std::path::Path;
use std::process::Command;

/// What to ask.
pub(crate) struct H2load<'a> {
    pub(crate) url: &'a str,
    pub(crate) fields: &'a [(String, String)],
    pub(crate) requests: usize,
    pub(crate) connections: usize,
    /// Streams of each connection at once; HTTP/1.1 where there are none.
    pub(crate) streams: Option<usize>,
    /// The length of each answer's body.
    pub(crate) length: usize,
}

impl H2load<'_> {
    /// Runs it; requests a second.
    pub(crate) fn run(&self, program: &Path) -> Result<f64, String> {
        let mut command = Command::new(program);
        command.args(["-n", &self.requests.to_string(), "-c", &self.connections.to_string(), "-t", "1"]);
        command.args(["--tls13-ciphers", "TLS_AES_128_GCM_SHA256"]);
        match self.streams {
            None => drop(command.arg("--h1")),
            Some(streams) => drop(command.args(["-m", &streams.to_string(), "--npn-list", "h2"])),
        }
        for (name, value) in self.fields {
            command.arg("-H").arg(format!("{name}: {value}"));
        }
        let output = command.arg(self.url).output().map_err(|e| format!("cannot run h2load: {e}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        parse(&text, self.requests, self.length, self.url.starts_with("https")).ok_or_else(|| {
            format!("not every answer was a whole 200 over the right TLS; h2load says:\n{}", text.trim_end())
        })
    }
}

/// Requests a second, if every one was answered with 200 and a body of that length.
fn parse(text: &str, requests: usize, length: usize, tls: bool) -> Option<f64> {
    let line = |start: &str| text.lines().find_map(|line| line.strip_prefix(start)).map(str::trim);
    let good = format!("{requests} 2xx, 0 3xx, 0 4xx, 0 5xx");
    let body = line("traffic: ")?.rsplit_once('(')?.1.split_once(')')?.0.parse::<usize>().ok()?;
    let secure = !tls || line("Cipher: ") == Some("TLS_AES_128_GCM_SHA256");
    if line("status codes: ") != Some(&good) || body != requests * length || !secure {
        return None;
    }
    line("finished in ")?.split(", ").find_map(|part| part.strip_suffix(" req/s"))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::parse;

    const SAID: &str = "starting benchmark...
TLS Protocol: TLSv1.3
Cipher: TLS_AES_128_GCM_SHA256

finished in 5.39s, 11130.28 req/s, 14.24MB/s
requests: 10 total, 10 started, 10 done, 10 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 10 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 12.80KB (13110) total, 2.51KB (2570) headers (space savings 0.00%), 10.00KB (10240) data
";

    #[test]
    fn only_whole_answers_count() {
        assert_eq!(parse(SAID, 10, 1024, true), Some(11130.28));
        assert_eq!(parse(SAID, 11, 1024, true), None, "one is missing");
        assert_eq!(parse(SAID, 10, 1023, true), None, "another length");
        assert_eq!(parse(&SAID.replace("AES_128", "AES_256"), 10, 1024, true), None, "another cipher");
        assert_eq!(
            parse(&SAID.replace("10 2xx, 0 3xx, 0 4xx, 0 5xx", "9 2xx, 0 3xx, 0 4xx, 1 5xx"), 10, 1024, true),
            None
        );
    }
}
