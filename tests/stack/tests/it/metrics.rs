//! Prometheus's own programs read the metrics of a site with traffic, in both text forms, and evaluate the alerts that deploy/ has.

use std::io::Write as _;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use stack::toolchain::{Toolchain, program};

use crate::site::Site;

cases![
    promtool_finds_nothing_to_complain_of on Native,
    prometheus_scrapes_and_evaluates on Native,
];

fn installed(name: &str) -> std::path::PathBuf {
    let say = |line: &str| println!("{line}");
    let remedy = "Install the package `prometheus` (on Debian: `apt install prometheus`).";
    let found = tokio::task::block_in_place(|| program("metrics", name, "prometheus", remedy, &say));
    found.unwrap_or_else(|error| panic!("{error}"))
}

/// Traffic of several kinds, so that there are series.
async fn visit(site: &Site) {
    for path in ["/cache?cc=max-age=600&metrics", "/cache?cc=max-age=600&metrics", "/.env", "//refused", "/static/none"]
    {
        site.fetch(path).await;
    }
    site.post("/echo/x").body("x").send().await.expect("an answer");
}

async fn promtool_finds_nothing_to_complain_of(site: &Site) {
    visit(site).await;
    let metrics = reqwest::get(format!("{}/metrics", site.stack.addresses.admin)).await.expect("an answer");
    let metrics = metrics.text().await.expect("text");
    let mut promtool = Command::new(installed("promtool"));
    let promtool =
        promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().expect("it starts");
    promtool.stdin.take().expect("piped").write_all(metrics.as_bytes()).expect("it reads");
    let done = promtool.wait_with_output().expect("it ends");
    let said = [done.stdout, done.stderr].concat();
    assert!(done.status.success() && said.is_empty(), "{}\n{metrics}", String::from_utf8_lossy(&said));
}

/// Prometheus, killed at the end.
struct Prometheus {
    child: Child,
    url: String,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    async fn ask(&self, path: &str) -> Value {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            match reqwest::get(format!("{}{path}", self.url)).await {
                Ok(answer) if answer.status() == 200 => return answer.json().await.expect("JSON"),
                said => assert!(Instant::now() < until, "{said:?}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn until(&self, path: &str, is: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let said = self.ask(path).await;
            if is(&said["data"]) {
                return said;
            }
            assert!(Instant::now() < until, "{said:#}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

async fn prometheus_scrapes_and_evaluates(site: &Site) {
    visit(site).await;
    let folder = tempfile::tempdir().expect("a folder");
    let alerts = Toolchain::workspace().join("deploy/origin.alerts.yml");
    let admin = site.stack.addresses.admin.trim_start_matches("http://");
    // JSON is YAML.
    let config = serde_json::json!({
        "global": { "scrape_interval": "500ms", "evaluation_interval": "500ms" },
        "rule_files": [alerts],
        "scrape_configs": [{ "job_name": "origin", "static_configs": [{ "targets": [admin] }] }],
    });
    std::fs::write(folder.path().join("prometheus.yml"), config.to_string()).expect("written");
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let child = Command::new(installed("prometheus"))
        .arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
        .arg(format!("--web.listen-address={free}"))
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let prometheus = Prometheus { child, url: format!("http://{free}") };
    let found = |said: &Value| said["result"][0]["value"][1].as_str().map(str::to_owned);
    prometheus.until("/api/v1/query?query=up{job=%22origin%22}", |said| found(said).as_deref() == Some("1")).await;
    // Only OpenMetrics tells units.
    let metadata = "/api/v1/metadata?metric=http_server_request_duration_seconds";
    let metadata = prometheus.until(metadata, |said| said.as_object().is_some_and(|said| !said.is_empty())).await;
    let about = &metadata["data"]["http_server_request_duration_seconds"][0];
    assert_eq!((about["type"].as_str(), about["unit"].as_str()), (Some("histogram"), Some("seconds")), "{metadata:#}");
    let quantile = "histogram_quantile(0.5,sum%20by%20(le)(http_server_request_duration_seconds_bucket))";
    prometheus
        .until(&format!("/api/v1/query?query={quantile}"), |said| found(said).is_some_and(|said| said != "NaN"))
        .await;
    let is_good = |rule: &Value| rule["health"] == "ok";
    let rules = |said: &Value| said["groups"][0]["rules"].as_array().cloned().unwrap_or_default();
    let evaluated = |said: &Value| rules(said).iter().all(|rule| rule["health"] != "unknown");
    let said = prometheus.until("/api/v1/rules", |said| !rules(said).is_empty() && evaluated(said)).await;
    assert!(rules(&said["data"]).iter().all(is_good), "{said:#}");
}
