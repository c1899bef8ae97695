//! Runs the cases: each host's stack starts with its first case, is shared by all, and is taken down after the last one,
//! however that ended.

use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Runtime;

use crate::site::{Host, Site, Sites};

/// What a case may take: the slowest waits a few seconds for a timeout of ours, and a measurement takes its time (`LIMIT=1200`).
fn limit() -> Duration {
    let seconds = std::env::var("LIMIT").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(60))
}

/// Cases at a time: they wait more than they compute.
const AT_ONCE: usize = 6;

/// One case.
pub(crate) struct Case {
    pub(crate) module: &'static str,
    pub(crate) name: &'static str,
    pub(crate) hosts: &'static [Host],
    pub(crate) run: for<'a> fn(&'a Site) -> Pin<Box<dyn Future<Output = ()> + 'a>>,
}

/// The cases of a module: the names of its async fns, each followed by `on HOST` where it is about one host only.
macro_rules! cases {
    ($($case:ident $(on $host:ident)?),+ $(,)?) => {
        pub(crate) const CASES: &[$crate::runner::Case] = &[$($crate::runner::Case {
            module: module_path!(),
            name: stringify!($case),
            hosts: cases!(@hosts $($host)?),
            run: |site| Box::pin($case(site)),
        }),+];
    };
    (@hosts) => { &[$crate::site::Host::Native, $crate::site::Host::Worker] };
    (@hosts $host:ident) => { &[$crate::site::Host::$host] };
}

/// Runs what the command line selects.
pub(crate) fn run(modules: &[&'static [Case]]) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    let runtime = match Runtime::new() {
        Ok(runtime) => Arc::new(runtime),
        Err(error) => {
            eprintln!("no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let sites = Arc::new(Sites::default());
    let mut trials = Vec::new();
    for host in [Host::Native, Host::Worker] {
        for case in modules.iter().copied().flatten().filter(|case| case.hosts.contains(&host)) {
            let module = case.module.split_once("::").map_or("", |(_, module)| module);
            let name = format!("{}::{module}::{}", host.as_str(), case.name);
            let (runtime, sites) = (Arc::clone(&runtime), Arc::clone(&sites));
            trials.push(Trial::test(name, move || runtime.block_on(run_one(&sites, host, case))));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    // The trials are done and have let go of it.
    if let Some(sites) = Arc::into_inner(sites) {
        runtime.block_on(sites.stop());
    }
    conclusion.exit_code()
}

async fn run_one(sites: &Sites, host: Host, case: &Case) -> Result<(), Failed> {
    let site = sites.get(host).await?;
    let done = tokio::time::timeout(limit(), (case.run)(site)).await;
    done.map_err(|_| Failed::from(format!("not done after {:?}", limit())))
}
