//! No secret is ever logged, shown or said: each is planted where it can come in, everything that may go wrong with it does, and then all
//! that the gateway has written is searched, at the most talkative level that there is.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::app::{Line, Script};
use crate::gateway::rest;

/// What a client brings.
const AUTHORIZATION: &str = "planted-authorization-7f3a";
const COOKIE: &str = "planted-cookie-91bc";
const QUERY: &str = "planted-query-e52d";
const AMZ: &str = "planted-amz-signature-4c1e";
const USERINFO: &str = "planted-userinfo-88d0";
const FORM: &str = "planted-form-password-19aa";
const CHALLENGE: &str = "planted-turnstile-token-3b7e";
const BASIC: &str = "planted-wrong-basic-c0de";
const STRIPE: &str = "planted0stripe0signature0aa77";
const GUESS: &str = "planted-guessed-token-00112233445566778899";
/// What the app brings.
const SET_COOKIE: &str = "planted-set-cookie-6d21";
/// What the configuration's files hold.
const BUCKET: &str = "planted-bucket-secret-a9f1c2d3e4b5a697";
const WRITER: &str = "planted-writer-secret-0f9e8d7c6b5a4938";
const ADMIN: &str = "planted-admin-token-aaaabbbbccccddddeeee";
const APP: &str = "planted-app-token-ffffgggghhhhiiiijjjjk";
const WEBHOOK: &str = "whsec_planted_webhook_secret_5566";
const PASSWORD: &str = "planted-postmark-password-7788";
const TURNSTILE: &str = "planted-turnstile-secret-99aabbccddee0011";
const COLLECTOR: &str = "planted-collector-token-2233445566";
const TIMING: &str = "planted-timing-token-77889900aabbccddeeff";
const HEALTH: &str = "planted-health-token-1234567890abcdefghij";
const PROBE: &str = "planted-probe-token-55443322110099";
const DATABASE: &str = "planted-database-password-1357";
const CLOUDFLARE: &str = "planted-cloudflare-token-24680aceg13579";
/// Of the edge's key: 32 bytes.
const EDGE: &[u8; 32] = b"planted-edge-key-of-32-bytes-123";

/// What is logged, as a control: a path.
const CONTROL: &str = "planted-control-that-is-logged";

struct Place {
    folder: TempDir,
    child: Child,
    addresses: [SocketAddr; 2],
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Place {
    async fn start(app: &Script, collector: SocketAddr, storage: SocketAddr) -> Self {
        let folder = TempDir::new().expect("a folder");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            path
        };
        let edge = file("edge.keys", &format!("k1:{}\n", BASE64_STANDARD.encode(EDGE)));
        let (bucket, writer) =
            (file("bucket", &format!("READER:{BUCKET}")), file("writer", &format!("WRITER:{WRITER}")));
        let (admin, own_app) = (file("admin", ADMIN), file("app", APP));
        let (stripe, postmark) = (file("stripe", WEBHOOK), file("postmark", &format!("postmark:{PASSWORD}")));
        let (turnstile, timing, health) =
            (file("turnstile", TURNSTILE), file("timing", TIMING), file("health", HEALTH));
        let (collectors, probe) =
            (file("collector", &format!("authorization: Bearer {COLLECTOR}\n")), file("probe", PROBE));
        let (database, cloudflare) = (file("database", DATABASE), file("cloudflare", CLOUDFLARE));
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let ca = file("ca.pem", &pair.cert.pem());
        let state = folder.path().join("state");
        let text = format!(
            "listen = {{ http = [\"127.0.0.1:0\"], cores = 1 }}\n\
             timeouts = {{ hold = \"100ms\", answer = \"1s\" }}\n\
             edge.keys_file = {edge:?}\nadmin = {{ listen = \"127.0.0.1:0\", token_file = {admin:?}, app_token_file = {own_app:?} }}\n\
             state.folder = {state:?}\nhealth.token_file = {health:?}\ntiming.token_file = {timing:?}\n\
             storage = {{ attempt = \"500ms\", within = \"1s\" }}\n\
             [filter]\nblock = [\"sqli\", \"xss\", \"traversal\"]\n\
             [turnstile]\nsite_key = \"0x4AAAAAAADnPIDROrmt1Wwj\"\nsecret_file = {turnstile:?}\nwithin = \"1s\"\napi = \"https://127.0.0.1:1/turnstile/v0\"\nca = {ca:?}\n\
             [traces]\nurl = \"http://{collector}/v1/traces\"\nheaders_file = {collectors:?}\nsample = 1.0\nwithin = \"1s\"\n\
             [probe.vendor]\nkind = \"http\"\nurl = \"https://127.0.0.1:1/status\"\ntoken_file = {probe:?}\n\
             [probe.database]\nkind = \"postgres\"\ndatabase = \"host=127.0.0.1 port=1 user=origin\"\npassword_file = {database:?}\n\
             [cloudflare]\nzone = \"0123456789abcdef0123456789abcdef\"\ntoken_file = {cloudflare:?}\napi = \"https://127.0.0.1:1/client/v4\"\nca = {ca:?}\n\
             [webhook.stripe]\npath = \"/webhooks/stripe\"\nscheme = \"stripe\"\nsecrets_file = {stripe:?}\n\
             [webhook.postmark]\npath = \"/webhooks/postmark\"\nscheme = \"basic\"\nsecrets_file = {postmark:?}\n\
             [upload.works]\npath = \"/u\"\n\
             [bucket.files]\nurl = \"http://{storage}/files\"\ncredentials_file = {bucket:?}\nwrite_credentials_file = {writer:?}\n\
             [[site]]\nhosts = [\"*\"]\napp = {}\nfilter_forms = [\"/login\"]\n",
            app.app()
        );
        let config = file("origin.toml", &text);
        let open = |name: &str| std::fs::File::create(folder.path().join(name)).expect("a file");
        let child = Command::new(env!("CARGO_BIN_EXE_origin"))
            .args(["serve", "--config"])
            .arg(&config)
            .env("RUST_LOG", "trace")
            .stdin(Stdio::null())
            .stdout(open("stdout"))
            .stderr(open("stderr"))
            .spawn()
            .expect("it starts");
        let mut place = Self { folder, child, addresses: [SocketAddr::from(([0; 4], 0)); 2] };
        let serving = place.line(|line| line["message"] == "serving").await;
        let address = |key: &str| serving[key].as_str()?.strip_prefix("http://")?.parse().ok();
        place.addresses = ["addresses", "admin"].map(|key| address(key).unwrap_or_else(|| panic!("{serving}")));
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// All that it has written.
    fn written(&self) -> String {
        let read = |name: &str| String::from_utf8_lossy(&std::fs::read(self.path(name)).expect("a file")).into_owned();
        read("stdout") + &read("stderr")
    }

    async fn line(&self, fits: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let all = self.written();
            let found = all.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find(&fits);
            match found {
                Some(line) => return line,
                None => assert!(Instant::now() < until, "not logged: {all}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn ask(&self, n: usize, request: String) -> String {
        let mut stream = TcpStream::connect(self.addresses[n]).await.expect("it accepts");
        stream.write_all(request.as_bytes()).await.expect("written");
        rest(&mut stream).await
    }

    /// A request of a client who brings all that clients have.
    async fn say(&self, start: &str, more: &str, body: &str) -> String {
        let length = body.len();
        let basic = BASE64_STANDARD.encode(format!("postmark:{BASIC}"));
        let authorization =
            if start.contains("postmark") { format!("Basic {basic}") } else { format!("Bearer {AUTHORIZATION}") };
        self.ask(
            0,
            format!(
                "{start} HTTP/1.1\r\nhost: a\r\nconnection: close\r\naccept: application/json\r\nauthorization: {authorization}\r\n\
                 cookie: session={COOKIE}\r\norigin-timing: {GUESS}\r\nx-amz-security-token: {AMZ}\r\n\
                 content-length: {length}\r\n{more}\r\n{body}"
            ),
        )
        .await
    }

    async fn admin(&self, start: &str, token: &str, body: &str) -> String {
        let length = body.len();
        self.ask(
            1,
            format!(
                "{start} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
            ),
        )
        .await
    }
}

/// Which of the secrets a text has, also in the ways in which they travel, and as a list of bytes.
fn found(text: &str, secrets: &[String]) -> Vec<String> {
    let bytes = |secret: &String| format!("{:?}", secret.as_bytes()).trim_matches(['[', ']']).to_owned();
    let ways =
        |secret: &String| [secret.clone(), BASE64_STANDARD.encode(secret), secret.replace('-', "%2D"), bytes(secret)];
    secrets.iter().filter(|secret| ways(secret).iter().any(|way| text.contains(way))).cloned().collect()
}

/// An app that does to each request what its path says, until it is told to stop.
async fn app(script: &Script) {
    loop {
        let mut line = script.accept().await;
        let head = line.head().await;
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        assert!(!head.contains(GUESS), "the token for timing is not the app's: {head}");
        let common = format!("set-cookie: session={SET_COOKIE}\r\nconnection: close\r\n");
        match &path {
            path if path.starts_with("/breaks") => {}
            path if path.starts_with("/garbage") => line.say(format!("set-cookie: {SET_COOKIE}\r\n\r\n")).await,
            path if path.starts_with("/file") => {
                line.say(format!("HTTP/1.1 200 OK\r\nhandoff: files;key=\"a/b\"\r\n{common}content-length: 0\r\n\r\n"))
                    .await;
            }
            path if path.starts_with("/no-file") => {
                line.say(format!(
                    "HTTP/1.1 200 OK\r\nhandoff: elsewhere;key=\"a/b\"\r\n{common}content-length: 0\r\n\r\n"
                ))
                .await;
            }
            path if path.starts_with("/cut") => {
                line.say(format!("HTTP/1.1 200 OK\r\n{common}content-length: 9\r\n\r\nx")).await
            }
            path if path.starts_with("/u/") => {
                line.say(format!("HTTP/1.1 204 No Content\r\nupload-grant: files;prefix=\"in/\"\r\n{common}\r\n"))
                    .await;
            }
            path if path.starts_with("/slow") => tokio::time::sleep(Duration::from_millis(1_500)).await,
            _ => line.say(format!("HTTP/1.1 200 OK\r\n{common}content-length: 2\r\n\r\nok")).await,
        }
    }
}

/// A server that says 403 to everything, and repeats what it was told, as some do.
async fn parrot(script: Script) {
    async fn answer(mut line: Line) {
        let head = line.head().await;
        let said = head.replace("\r\n", " ");
        line.say(format!(
            "HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{said}",
            said.len()
        ))
        .await;
    }
    loop {
        // Whoever only looks whether somebody is there says nothing.
        let line = script.accept().await;
        tokio::spawn(answer(line));
    }
}

#[tokio::test]
async fn nothing_that_is_written_or_said_holds_a_secret() {
    let (script, collector, storage) = (Script::new().await, Script::new().await, Script::new().await);
    let (collectors, stored) = (collector.address(), storage.address());
    let others = [tokio::spawn(parrot(collector)), tokio::spawn(parrot(storage))];
    let place = Place::start(&script, collectors, stored).await;
    let mut secrets: Vec<String> = [
        AUTHORIZATION,
        COOKIE,
        QUERY,
        AMZ,
        USERINFO,
        FORM,
        CHALLENGE,
        BASIC,
        STRIPE,
        GUESS,
        SET_COOKIE,
        BUCKET,
        WRITER,
        ADMIN,
        APP,
        WEBHOOK,
        PASSWORD,
        TURNSTILE,
        COLLECTOR,
        TIMING,
        HEALTH,
        PROBE,
        DATABASE,
        CLOUDFLARE,
    ]
    .map(ToOwned::to_owned)
    .into();
    secrets.push(String::from_utf8_lossy(EDGE).into_owned());

    let driven = async {
        let mut answers = Vec::new();
        let query = format!("?token={QUERY}&X-Amz-Signature={AMZ}");
        for path in
            ["", "breaks", "garbage", "no-file", "cut", "slow", "a%2fb", ".edge/x", "health", "api/health", CONTROL]
        {
            answers.push(place.say(&format!("GET /{path}{query}"), "", "").await);
        }
        // Refused by the filter, by a signature that is none, by a host with a user, by its framing.
        answers.push(place.say(&format!("GET /?id=1%27%20or%20%271%27=%271&token={QUERY}"), "", "").await);
        let signed = format!(
            "edge-facts: client=\"192.0.2.1\", id=\"{}\"\r\nsignature-input: edge=();created=1\r\nsignature: edge=:{}:\r\n",
            "0".repeat(32),
            BASE64_STANDARD.encode(AMZ)
        );
        answers.push(place.say(&format!("GET /signed{query}"), &signed, "").await);
        answers.push(place.say(&format!("GET http://me:{USERINFO}@a/{query}"), "", "").await);
        answers.push(place.ask(0, format!("GET /{query} HTTP/1.1\r\nhost : a\r\ncookie: {COOKIE}\r\n\r\n")).await);
        let form = "content-type: application/x-www-form-urlencoded\r\n";
        answers.push(place.say(&format!("POST /login{query}"), form, &format!("user=a&password={FORM}")).await);
        answers.push(
            place
                .say(&format!("POST /login{query}"), form, &format!("user=%27%20or%20%271%27=%271&password={FORM}"))
                .await,
        );
        answers
            .push(place.say("POST /.edge/challenge", form, &format!("to=%2F&cf-turnstile-response={CHALLENGE}")).await);
        answers.push(place.say("POST /webhooks/stripe", &format!("stripe-signature: t=1,v1={STRIPE}\r\n"), "{}").await);
        answers.push(place.say("POST /webhooks/postmark", "", "{}").await);
        let json = "content-type: application/json\r\n";
        let begun = place
            .say(&format!("POST /u{query}"), json, &json!({"name": "a", "type": "audio/wav", "size": 7}).to_string())
            .await;
        let (_, body) = begun.split_once("\r\n\r\n").expect("a body");
        let upload: Value = serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {begun}"));
        // What was given to the client is a secret between it and the bucket.
        let given = upload["upload"].as_str().expect("a ticket").to_owned();
        let fields = upload["form"]["fields"].as_array().expect("a form");
        let signature = fields.iter().find(|field| field[0] == "x-amz-signature").and_then(|field| field[1].as_str());
        answers
            .push(place.say(&format!("POST /u/complete{query}"), json, &json!({ "upload": given }).to_string()).await);
        answers.push(
            place
                .say(&format!("POST /u/complete{query}"), json, &json!({ "upload": format!("{given}x") }).to_string())
                .await,
        );
        let handed = place.say(&format!("GET /file{query}"), "", "").await;
        let url = handed.split_once("X-Amz-Signature=").unwrap_or_else(|| panic!("{handed}")).1;
        secrets.push(url[..64].to_owned());
        secrets.extend([given, signature.expect("a signature").to_owned()]);
        // The operator, rightly and wrongly.
        for (path, token) in
            [("/metrics", ADMIN), ("/config", ADMIN), ("/upstreams", ADMIN), ("/metrics", GUESS), ("/config", APP)]
        {
            answers.push(place.admin(&format!("GET {path}"), token, "").await);
        }
        answers.push(place.admin("GET /explain?url=http%3A%2F%2Fa%2F%3Ftoken%3Dx", ADMIN, "").await);
        answers.push(
            place
                .admin("POST /sign", APP, &json!({"items": [{"put": {"bucket": "elsewhere", "key": "a"}}]}).to_string())
                .await,
        );
        answers.push(
            place
                .admin(
                    "POST /uploads/complete",
                    APP,
                    &json!({"items": [{"bucket": "files", "key": "a", "upload": GUESS}]}).to_string(),
                )
                .await,
        );
        answers.push(place.ask(0, format!("GET /api/health HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: Bearer {HEALTH}\r\n\r\n")).await);
        answers.push(
            place
                .ask(
                    0,
                    format!("GET /timed HTTP/1.1\r\nhost: a\r\nconnection: close\r\norigin-timing: {TIMING}\r\n\r\n"),
                )
                .await,
        );
        // The collector refuses what it gets, and says that aloud.
        place.line(|line| line["message"] == "spans are lost: the collector has not taken them").await;
        place.line(|line| line["message"] == "request" && line["url.path"] == "/timed").await;
        answers
    };
    let answers = tokio::select! {
        answers = driven => answers,
        () = app(&script) => unreachable!("it goes on"),
    };
    others.iter().for_each(tokio::task::JoinHandle::abort);

    // Nor what a programmer prints.
    let config = origin::config::load(&place.path("origin.toml")).expect("it is good");
    let printed = format!("{config:?}");
    assert_eq!(found(&printed, &["READER".to_owned(), "0123456789abcdef0123456789abcdef".to_owned()]).len(), 2);
    assert_eq!(found(&printed, &secrets), [""; 0], "{printed}");

    let written = place.written();
    // What is searched is there, at the level of the libraries, and a value that is logged is found.
    assert!(written.contains("\"level\":\"TRACE\""), "the libraries have their say");
    assert_eq!(found(&written, &[CONTROL.to_owned()]), [CONTROL], "what is logged is found");
    for reason in [
        "signature-",
        "blocked",
        "app-unreachable",
        "handoff-refused",
        "webhook-signature",
        "webhook-credentials",
        "app-timeout",
    ] {
        assert!(written.contains(&format!("\"reason\":\"{reason}")), "{reason} was driven");
    }
    let leaked: Vec<_> = written
        .lines()
        .filter_map(|line| Some((found(line, &secrets), line)).filter(|(found, _)| !found.is_empty()))
        .take(5)
        .collect();
    assert!(leaked.is_empty(), "{leaked:#?}");
    for answer in answers {
        // What the app sets, it sets for its visitor.
        let own: Vec<_> = secrets.iter().filter(|secret| *secret != SET_COOKIE).cloned().collect();
        assert_eq!(found(&answer, &own), [""; 0], "{answer}");
    }
}
