//! A site that moves behind the Worker one path at a time (docs/deploy.md), while visitors come: Routes are those that `zonectl` applies, and what
//! Cloudflare does by them is done here, before the real Worker and the real gateway.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use reqwest::{Certificate, Client, Identity};
use stack::{Edge, Listeners, Options, Stack};
use tokio::net::TcpListener;

use crate::world::World;

const HOST: &str = "makenot.work";
/// What stands for the Worker in `[routes]` while it does not run everywhere yet.
const WRANGLER: &str = "wrangler = \"../../wrangler.toml\"";
/// A page of the site, one of its API, and two that the Worker must never see.
const PATHS: [&str; 4] = ["/c/mira", "/api/creators", "/api/health", "/api/sync/subscribe?app_id=sketchbook"];
/// Requests a second to each of them, while a step is taken.
const PER_SECOND: u64 = 10;

/// Cloudflare before the site.
struct Front {
    world: Arc<World>,
    worker: String,
    gateway: String,
    client: Client,
    /// Whether the account has used up the day's requests to Workers.
    spent: AtomicBool,
}

impl Front {
    /// Whether a Worker runs for this path: the most specific of the patterns that match says so, and one that fails open only while there is quota.
    fn runs_worker(&self, path: &str) -> Option<bool> {
        let url = format!("{HOST}{path}");
        let zone = self.world.cloudflare.zone();
        let matches = |pattern: &str| match pattern.strip_suffix('*') {
            Some(beginning) => url.starts_with(beginning),
            None => url == pattern,
        };
        let pattern = |route: &serde_json::Value| route["pattern"].as_str().unwrap_or_default().to_owned();
        let route = zone.routes.iter().filter(|it| matches(&pattern(it))).max_by_key(|it| pattern(it).len());
        let Some(route) = route.filter(|it| it["script"].is_string()) else { return Some(false) };
        if !self.spent.load(Ordering::Relaxed) {
            return Some(true);
        }
        (route["request_limit_fail_open"] == true).then_some(false)
    }

    async fn answer(&self, method: Method, uri: Uri, mut fields: HeaderMap, body: Bytes) -> Result<Response, String> {
        let path = uri.path_and_query().map_or("/", |it| it.as_str());
        let at = match self.runs_worker(path) {
            Some(true) => &self.worker,
            Some(false) => &self.gateway,
            // Error 1027, of a Route that fails closed.
            None => return Ok(StatusCode::TOO_MANY_REQUESTS.into_response()),
        };
        fields.insert("host", HOST.parse().expect("a name"));
        fields.insert("cf-connecting-ip", "203.0.113.7".parse().expect("an address"));
        let asked = self.client.request(method, format!("{at}{path}")).headers(fields).body(body);
        let answer = asked.send().await.map_err(|e| format!("{e:?}"))?;
        let (status, mut fields) = (answer.status(), answer.headers().clone());
        for name in ["connection", "transfer-encoding", "keep-alive"] {
            fields.remove(name);
        }
        Ok((status, fields, Body::from_stream(answer.bytes_stream())).into_response())
    }
}

async fn respond(
    State(front): State<Arc<Front>>,
    method: Method,
    uri: Uri,
    fields: HeaderMap,
    body: Bytes,
) -> Response {
    front
        .answer(method, uri, fields, body)
        .await
        .unwrap_or_else(|error| (StatusCode::BAD_GATEWAY, error).into_response())
}

/// The site as its visitors reach it.
#[derive(Clone)]
struct Site {
    url: String,
    client: Client,
}

impl Site {
    /// Whether the Worker was asked; an answer that is not as it should be is an error. Of an event stream the first event is waited for.
    async fn ask(&self, path: &str) -> Result<bool, String> {
        let asked = self.client.get(format!("{}{path}", self.url)).timeout(Duration::from_secs(30)).send();
        let mut answer = asked.await.map_err(|e| format!("{path}: {e:?}"))?;
        let (status, caches) = (answer.status(), answer.headers().get_all("cache-status").iter().cloned());
        let by_worker = caches.into_iter().any(|member| member.as_bytes().starts_with(b"edge;"));
        let first = answer.chunk().await.map_err(|e| format!("{path}: {e:?}"))?;
        if status == 200 && first.is_some_and(|bytes| !bytes.is_empty()) {
            Ok(by_worker)
        } else {
            Err(format!("{path}: {status}"))
        }
    }

    /// The paths that the Worker answers.
    async fn by_worker(&self) -> Vec<&'static str> {
        let mut paths = Vec::new();
        for path in PATHS {
            if self.ask(path).await.expect("as it should be") {
                paths.push(path);
            }
        }
        paths
    }

    /// Takes a step while visitors come, none of whom may lose a request.
    async fn without_loss(&self, what: &str, step: impl FnOnce()) {
        let lost: Arc<Mutex<Vec<String>>> = Arc::default();
        let mut visits = tokio::task::JoinSet::new();
        let mut due = tokio::time::interval(Duration::from_millis(1000 / PER_SECOND));
        let ends = AtomicBool::new(false);
        let load = async {
            while !ends.load(Ordering::Relaxed) {
                due.tick().await;
                for path in PATHS {
                    let (site, lost) = (self.clone(), Arc::clone(&lost));
                    visits.spawn(async move {
                        if let Err(error) = site.ask(path).await {
                            lost.lock().unwrap_or_else(PoisonError::into_inner).push(error);
                        }
                    });
                }
            }
        };
        let does = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            tokio::task::block_in_place(step);
            tokio::time::sleep(Duration::from_millis(500)).await;
            ends.store(true, Ordering::Relaxed);
        };
        tokio::join!(load, does);
        let all = visits.len();
        visits.join_all().await;
        let lost = lost.lock().unwrap_or_else(PoisonError::into_inner);
        println!("zone     {what}: {} of {all} lost", lost.len());
        assert!(lost.is_empty() && all >= 4 * PATHS.len(), "{what}: {lost:?}");
    }
}

/// `[routes]` with the Worker on these paths only, and applied. What else zone.toml has is there already.
fn apply(world: &World, paths: &[&str]) {
    let patterns: Vec<_> = paths.iter().map(|path| format!("{HOST}{path}")).collect();
    let file = world.path("deploy/cloudflare/zone.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let lines = text.lines().map(|line| {
        if line == WRANGLER || line.starts_with("with_worker") {
            format!("with_worker = {{ makenotwork-edge = {patterns:?} }}")
        } else {
            line.to_owned()
        }
    });
    std::fs::write(&file, lines.collect::<Vec<_>>().join("\n") + "\n").unwrap();
    world.has(2, &["plan", "--prune"]);
    let said = world.has(0, &["apply", "--yes", "--prune"]);
    let written = world.cloudflare.writes();
    assert!(!written.is_empty() && written.iter().all(|it| it.path.contains("/workers/routes")), "{written:?}\n{said}");
}

#[test]
fn the_worker_takes_one_path_after_the_other_and_gives_them_back() {
    // The zone's double has a runtime of its own, which can't end in another.
    let world = Arc::new(World::applied());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(moves(&world));
    drop(runtime);
}

async fn moves(world: &Arc<World>) {
    let options = Options { edge: Edge::Worker, app: None, config: None, limit: None, ports: stack::Ports::default() };
    let stack = Stack::start(options, Listeners::default(), &|line| println!("{line}")).await.expect("it starts");
    let gateway = &stack.addresses.gateway;
    let address = gateway.trim_start_matches("https://").parse().unwrap();
    let (cert, key) = &stack.credentials.client;
    let client = Client::builder()
        .tls_certs_only([Certificate::from_pem(stack.credentials.ca.as_bytes()).unwrap()])
        .identity(Identity::from_pem(format!("{cert}{key}").as_bytes()).unwrap())
        .resolve(HOST, address)
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy();
    let front = Arc::new(Front {
        world: Arc::clone(world),
        worker: stack.addresses.edge.clone(),
        gateway: format!("https://{HOST}:{}", address.port()),
        client: client.build().unwrap(),
        spent: AtomicBool::new(false),
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(respond).with_state(Arc::clone(&front));
    let serving = tokio::spawn(async move { axum::serve(listener, router).await });
    let site = Site { url, client: Client::builder().no_proxy().build().unwrap() };

    let [page, api, ..] = PATHS;
    assert_eq!(site.by_worker().await, [page, api], "as zone.toml and wrangler.toml are shipped");
    site.without_loss("the Worker is taken from everywhere", || apply(world, &[])).await;
    assert_eq!(site.by_worker().await, [""; 0], "and all is answered by the gateway");

    site.without_loss("pages go through it", || apply(world, &["/c/*"])).await;
    assert_eq!(site.by_worker().await, [page]);
    site.without_loss("and the API", || apply(world, &["/c/*", "/api/*"])).await;
    assert_eq!(site.by_worker().await, [page, api], "neither health nor sync, below /api/ as they are");
    site.without_loss("and all else", || apply(world, &["/*"])).await;
    assert_eq!(site.by_worker().await, [page, api]);

    site.without_loss("the switch is thrown", || drop(world.has(0, &["worker", "off", "--yes"]))).await;
    assert_eq!(site.by_worker().await, [""; 0], "and the gateway serves alone");
    site.without_loss("and thrown back", || drop(world.has(0, &["worker", "on", "--yes"]))).await;
    assert_eq!(site.by_worker().await, [page, api]);
    let _ = world.cloudflare.writes();

    site.without_loss("the quota is spent", || front.spent.store(true, Ordering::Relaxed)).await;
    assert_eq!(site.by_worker().await, [""; 0], "a Route fails open");
    site.without_loss("and it is midnight", || front.spent.store(false, Ordering::Relaxed)).await;

    site.without_loss("back to the API and pages", || apply(world, &["/c/*", "/api/*"])).await;
    assert_eq!(site.by_worker().await, [page, api]);
    site.without_loss("back to pages", || apply(world, &["/c/*"])).await;
    assert_eq!(site.by_worker().await, [page]);
    site.without_loss("and to nothing", || apply(world, &[])).await;
    assert_eq!(site.by_worker().await, [""; 0]);
    serving.abort();
    stack.stop().await;
}
