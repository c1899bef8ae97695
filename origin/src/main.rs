//! `origin`, the gateway behind the edge.
//!
//! Exit codes: 0 served and drained, or the configuration is good; 1 it could not start, or something differs; 2 wrong usage; 75 try
//! later (`EX_TEMPFAIL` of sysexits.h); 78 the configuration is wrong (`EX_CONFIG`), so that a unit can tell it from a crash.

mod command;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use command::{Block, Buckets, Explain, Objects, RangesDo, Switch, Top};
use origin::admin::{Closing, Wish};

/// The gateway behind the edge: TLS, trust, cache, routing to the apps, health and object URLs.
#[derive(Parser)]
#[command(
    version,
    max_term_width = 100,
    after_help = "Examples:
  origin check-config /etc/origin/origin.toml    say what is wrong with a configuration, and serve nothing
  origin serve --config /etc/origin/origin.toml  serve until SIGTERM, then drain
  origin import-caddy /var/lib/caddy/.local/share/caddy
                                                 take over Caddy's certificates of creators' domains
  origin purge --tag creator-17                  serve no more what bears a tag
  origin maintenance on                          tell visitors to come back later
  origin top                                     show the live traffic
  origin keygen                                  a key for edge and gateway
  origin block flood --address 203.0.113.0/24    refuse requests from now on
  origin buckets apply                           set up the buckets, after showing what would be done
  origin objects restore user-files users/1 --ago 2h
                                                 bring back what was deleted or overwritten
  kill -HUP PID                                  have a new process take over, with the file as it is then

docs/configuration.md describes every key."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM or Ctrl-C, then let requests in flight end
    Serve {
        /// The configuration
        #[arg(long, value_name = "FILE", default_value = "/etc/origin/origin.toml")]
        config: PathBuf,
    },
    /// Check a configuration and the files it names; exit 78 where something is wrong
    CheckConfig {
        /// The configuration
        #[arg(value_name = "FILE", default_value = "/etc/origin/origin.toml")]
        file: PathBuf,
    },
    /// Have a running gateway serve no more what it has stored; it is fetched anew when somebody asks
    #[command(
        max_term_width = 100,
        after_help = "Examples:
  origin purge --url https://makenot.work/c/mira   one page, in all its variants
  origin purge --prefix https://makenot.work/blog/
  origin purge --tag creator-17 --soft             mark stale what bears the tag: answers stay fast
  origin purge --object user-files/users/1/tide.wav
                                                   what leads to an object that is not to be had any more
  origin purge --all"
    )]
    Purge {
        /// A URL, with scheme and host
        #[arg(long, value_name = "URL")]
        url: Vec<String>,
        /// What URLs begin with
        #[arg(long, value_name = "URL")]
        prefix: Vec<String>,
        /// A tag, as in Cache-Tag
        #[arg(long, value_name = "TAG")]
        tag: Vec<String>,
        /// An object in a bucket, of which nothing stored is to give a URL any more
        #[arg(long, value_name = "ROLE/KEY")]
        object: Vec<String>,
        /// Everything
        #[arg(long)]
        all: bool,
        /// Only mark it stale: whoever asks next is answered at once, and it is asked for anew. Cloudflare's own cache of the zone
        /// ([cloudflare]) knows no such thing: there it is purged hard
        #[arg(long)]
        soft: bool,
        /// The configuration, whose [admin] says where the gateway listens
        #[arg(long, value_name = "FILE", default_value = "/etc/origin/origin.toml")]
        config: PathBuf,
    },
    /// Tell visitors to come back later, at once here and within 5 s at every edge; health says how it is all the same
    #[command(
        max_term_width = 100,
        after_help = "Examples:
  origin maintenance on --allow 203.0.113.7       all sites are closed but to this address
  origin maintenance on --host forums.makenot.work --retry 10m
  origin maintenance status
  origin maintenance off"
    )]
    Maintenance {
        /// What to do
        #[arg(value_enum)]
        what: Switch,
        /// An address or range that is let in, as in 203.0.113.7 or 2001:db8::/64
        #[arg(long, value_name = "RANGE")]
        allow: Vec<String>,
        /// A host that is closed, where it is not all of them
        #[arg(long, value_name = "HOST")]
        host: Vec<String>,
        /// After which time visitors may try again
        #[arg(long, value_name = "TIME", default_value = "5m", value_parser = humantime::parse_duration)]
        retry: Duration,
        /// The configuration, whose [admin] says where the gateway listens
        #[arg(long, value_name = "FILE", default_value = "/etc/origin/origin.toml")]
        config: PathBuf,
    },
    /// Refuse requests from now on, at once here and within 5 s at every edge: what is said must all be so, of each list any
    #[command(
        max_term_width = 100,
        after_help = "Examples:
  origin block scraper --agent '*BadBot*' --for 1d
  origin block flood --address 203.0.113.0/24 --address 198.51.100.7 --path '/search*'
  origin block slow-down --path '/api/*' --limit api    count them by [rate.api] instead
  origin block maybe --country XX --dry-run             only note them in the log
  origin blocks
  origin unblock flood"
    )]
    Block(Block),
    /// Take such a rule out
    Unblock {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        /// The configuration, whose [admin] says where the gateway listens
        #[arg(long, value_name = "FILE", default_value = "/etc/origin/origin.toml")]
        config: PathBuf,
    },
    /// List such rules
    Blocks {
        /// The configuration, whose [admin] says where the gateway listens
        #[arg(long, value_name = "FILE", default_value = "/etc/origin/origin.toml")]
        config: PathBuf,
    },
    /// Show the live traffic of a running gateway: requests, latency, what the cache does, upstreams, the busiest routes, what is blocked
    #[command(
        max_term_width = 100,
        after_help = "Examples:
  origin top                      in this terminal, anew each second; q ends it
  origin top --interval 5s
  origin top --once | head        measure one second, print a table"
    )]
    Top(Top),
    /// Say why a request was answered as it was, by the log; or what would become of one, step by step
    #[command(
        max_term_width = 100,
        after_help = "Examples:
  origin explain 0af7651916cd43dd8448eb211c80319c
  origin explain 0af7651916cd43dd8448eb211c80319c --log /var/log/origin.log
  npx wrangler tail --format json | origin explain 0af7651916cd43dd8448eb211c80319c --log -
  origin explain https://makenot.work/c/mira --client 203.0.113.7

Exit codes: 0 it is explained, 1 nothing is known of the id or the gateway can't be asked, 2 it is neither id nor URL."
    )]
    Explain(Explain),
    /// Make a key for edge and gateway, and say where it goes
    Keygen {
        /// Its name in logs: letters, digits and dashes [default: edge- and today's date]
        #[arg(long, value_name = "NAME")]
        id: Option<String>,
    },
    /// Print the coarse rules of the filter as custom rules of the zone, for Cloudflare's API: they run before the Worker
    ZoneRules {
        /// The configuration, whose sites say what is excepted
        #[arg(value_name = "FILE", default_value = "/etc/origin/origin.toml")]
        file: PathBuf,
    },
    /// Cloudflare's list of its addresses: who asks from one of them stands for many clients
    Ranges {
        /// What to do
        #[arg(value_enum)]
        what: RangesDo,
        /// The list, where it is not in the folder of [state]
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// Where Cloudflare's API is
        #[arg(long, value_name = "URL", default_value = "https://api.cloudflare.com/client/v4")]
        api: String,
        /// The authority that its certificate is from, where the system does not know it
        #[arg(long, value_name = "FILE")]
        ca: Option<PathBuf>,
        /// The configuration
        #[arg(long, value_name = "FILE", default_value = "/etc/origin/origin.toml")]
        config: PathBuf,
    },
    /// What the site costs in a month, line by line; how much of the Worker's free quota is used; what twice the traffic, or an attack, would cost
    #[command(
        max_term_width = 100,
        after_help = "Examples:
  origin cost
  origin cost --prices prices.toml     with your own prices, and what only you know (deploy/prices.toml is where to begin)

Prices that were read half a year ago and more are marked. Exit codes: 0 done, 1 the gateway can't be asked, 2 the prices are
wrong, 78 the configuration is."
    )]
    Cost {
        /// The prices, where they are not those that this program comes with
        #[arg(long, value_name = "FILE")]
        prices: Option<PathBuf>,
        /// The configuration, whose [admin] says where the gateway listens
        #[arg(long, value_name = "FILE", default_value = "/etc/origin/origin.toml")]
        config: PathBuf,
    },
    /// The buckets themselves: versions, CORS, what goes by itself, and that the write-only key reads nothing
    #[command(
        max_term_width = 100,
        subcommand_required = true,
        arg_required_else_help = true,
        after_help = "Examples:
  origin buckets check                what differs from the configuration; a timer may run this
  origin buckets apply user-files     show what would be done, ask, do it, and look again

Policies are put on all buckets of a project, those too that the configuration does not name: a write-only key that
can read one of them can copy from it. What others have set on a bucket is shown and kept.
Exit codes: 0 all as wanted, 1 something differs, 75 the storage is in trouble: try later, 78 the configuration is wrong."
    )]
    Buckets {
        #[command(subcommand)]
        what: Buckets,
    },
    /// Objects as they were: their versions, and bringing back what was deleted or overwritten
    #[command(
        max_term_width = 100,
        subcommand_required = true,
        arg_required_else_help = true,
        after_help = "Examples:
  origin objects versions user-files users/1/tide.wav
  origin objects restore user-files users/1/tide.wav --ago 2h
  origin objects restore user-files users/1 --at 2026-11-27T12:00Z
  origin objects restore user-files --all --ago 30m --yes

What came after that moment stays. Another run of the same command does only what is left.
Exit codes: 0 done, 1 not all came back, 75 the storage is in trouble: try later, 78 the configuration is wrong."
    )]
    Objects {
        #[command(subcommand)]
        what: Objects,
    },
    /// Take over the certificates that Caddy has had by ACME; exit 1 where one of them is refused
    ImportCaddy {
        /// Caddy's data folder, or the folder `certificates` in it
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
        /// The configuration, whose [acme] says where they go
        #[arg(long, value_name = "FILE", default_value = "/etc/origin/origin.toml")]
        config: PathBuf,
    },
}

fn main() -> ExitCode {
    let (done, file) = match Arguments::parse().command {
        Command::CheckConfig { file } => (command::check(&file), file),
        Command::Serve { config } => (command::serve(&config), config),
        Command::ImportCaddy { folder, config } => (command::import(&folder, &config), folder),
        Command::Ranges { what, file, api, ca, config } => {
            let shown = file.clone().unwrap_or_else(|| config.clone());
            (command::ranges(what, file, &api, ca.as_deref(), &config), shown)
        }
        Command::Cost { prices, config } => (command::cost(prices.as_deref(), &config), config),
        Command::Buckets { what } => (command::buckets(&what), PathBuf::new()),
        Command::Objects { what } => (command::objects(&what), PathBuf::new()),
        Command::Block(block) => (command::block(&block), block.config),
        Command::Unblock { name, config } => (command::unblock(&name, &config), config),
        Command::Blocks { config } => (command::blocks(&config), config),
        Command::ZoneRules { file } => (command::zone_rules(&file), file),
        Command::Top(top) => (command::top(&top), PathBuf::new()),
        Command::Explain(explain) => (command::explain(&explain), explain.config),
        Command::Keygen { id } => (command::keygen(id), PathBuf::new()),
        Command::Maintenance { what, allow, host, retry, config } => {
            let retry = u32::try_from(retry.as_secs()).unwrap_or(u32::MAX);
            (command::maintenance(what, &Closing { retry, allow, host }, &config), config)
        }
        Command::Purge { url, prefix, tag, object, all, soft, config } => {
            (command::purge(&Wish { url, prefix, tag, object, all, soft }, &config), config)
        }
    };
    match done {
        Ok(said) => {
            if let Some(said) = said {
                println!("{}: {said}", file.display());
            }
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("{}", failure.said);
            ExitCode::from(failure.code)
        }
    }
}
