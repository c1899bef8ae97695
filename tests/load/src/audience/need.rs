//! What a load takes of the gateway (CPU, memory, bandwidth, connections), and how much of each there is.

use super::flow::Counted;

/// What a gateway may run out of.
pub const RESOURCES: [&str; 4] = ["CPU", "memory", "bandwidth", "connections"];
/// In what each is told.
pub const UNITS: [&str; 4] = ["cores", "MiB", "Mbit/s", "connections"];

/// So much of each, in the order of [`RESOURCES`].
pub type Amounts = [f64; 4];

/// Where a gateway runs, and what it has there.
pub struct Room {
    /// When it is not enough.
    pub beyond: &'static str,
    /// What there is.
    pub has: Amounts,
}

/// What nobody promises, and is assumed: a link of 1 Gbit/s.
const LINK: f64 = 1_000.0;

/// The app's server, and one of its own. Cores and memory are those that the prices are of. Beside the app the gateway has half of the cores, and what
/// deploy/origin.service (`MemoryHigh`) and the defaults (`limits.connections`) say; alone it has three quarters of the memory, and as many
/// connections as the unit's descriptors do for, of which a stream takes two.
pub const ROOMS: [Room; 2] = [
    Room {
        beyond: "a second gateway: the first has all that it is given beside the app",
        has: [2.0, 640.0, LINK, 20_000.0],
    },
    Room {
        beyond: "a second VPS for gateways: one has all of a server of its own",
        has: [4.0, 6_144.0, LINK, 32_768.0],
    },
];

/// How long event streams and WebSockets stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stay {
    /// As the scenario says.
    AsAsked,
    /// An hour each, as those of a program that runs.
    Hour,
}

impl Stay {
    /// Both.
    pub const ALL: [Self; 2] = [Self::AsAsked, Self::Hour];

    /// As it is told.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AsAsked => "streams as in the scenario",
            Self::Hour => "streams of an hour",
        }
    }
}

/// What has been measured of the gateway: seconds, and bytes of memory.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// CPU for a hit.
    pub hit: f64,
    /// CPU for a request that goes on to the app.
    pub passed: f64,
    /// Until an answer is there.
    pub answer: f64,
    /// The process by itself.
    pub process: f64,
    /// An idle TLS connection.
    pub connection: f64,
    /// An event stream, with its connections to client and app.
    pub stream: f64,
    /// A stored answer, besides its body.
    pub entry: f64,
}

/// Bytes that the cache may hold (`cache.size`).
const CACHE: f64 = 134_217_728.0;
/// Bytes of an answer's head, as an edge gets it. Those of the demo app's pages through the gateway, over HTTP/1.1, were 379 to 389, others 252 to 275
/// (`curl -D -`, 2026-11-29).
pub const HEAD: f64 = 390.0;

/// Who asks, and for what.
#[derive(Clone, Copy, Debug)]
pub struct Ground {
    /// Data centres.
    pub edges: f64,
    /// Seconds from one to the gateway and back.
    pub flight: f64,
    /// Answers that are stored once everything has been asked for.
    pub entries: f64,
    /// Bytes of their bodies.
    pub kept: f64,
}

/// Event streams and WebSockets at once, by Little's law.
#[must_use]
pub fn streams(second: &Counted, stay: Stay) -> f64 {
    match stay {
        Stay::AsAsked => second.held_seconds,
        Stay::Hour => second.held * 3_600.0,
    }
}

/// Bits that the gateway sends, heads included.
#[must_use]
pub fn bits(second: &Counted) -> f64 {
    second.gateway.mul_add(HEAD, second.gateway_bytes.iter().sum::<f64>()) * 8.0
}

impl Ground {
    /// Connections of the edges: one for each request under way, which by Little's law are so many on average, and stay open for when they are
    /// more. With HTTP/2 they are fewer.
    #[must_use]
    pub fn connections(&self, second: &Counted, measured: &Measured) -> f64 {
        let under_way = second.gateway * (self.flight + measured.answer);
        self.edges * most(under_way / self.edges).max(1.0)
    }

    /// What the gateway takes while this comes in a second.
    #[must_use]
    pub fn need(&self, second: &Counted, stay: Stay, measured: &Measured) -> Amounts {
        let (connections, streams) = (self.connections(second, measured), streams(second, stay));
        let on = second.app.min(second.gateway);
        let cores = on.mul_add(measured.passed, (second.gateway - on) * measured.hit);
        let cache = self.entries.mul_add(measured.entry, self.kept).min(CACHE);
        let open = connections.mul_add(measured.connection, streams * measured.stream);
        let memory = measured.process + cache + open;
        [cores, memory / 1_048_576.0, bits(second) / 1e6, connections + streams]
    }
}

/// What so many on average are at most, 999 of 1,000 times (Poisson; where they are many, by the normal distribution).
fn most(mean: f64) -> f64 {
    if mean > 100.0 {
        return 3.09f64.mul_add(mean.sqrt(), mean).ceil();
    }
    let (mut many, mut chance) = (0.0, (-mean).exp());
    let mut sum = chance;
    while sum < 0.999 {
        many += 1.0;
        chance *= mean / many;
        sum += chance;
    }
    many
}

#[cfg(test)]
mod tests {
    use super::{Ground, HEAD, Measured, Stay, most, streams};
    use crate::audience::flow::Counted;

    const GROUND: Ground = Ground { edges: 10.0, flight: 0.1, entries: 100.0, kept: 1_000_000.0 };
    const MEASURED: Measured = Measured {
        hit: 20e-6,
        passed: 40e-6,
        answer: 0.0,
        process: 16_000_000.0,
        connection: 40_000.0,
        stream: 44_000.0,
        entry: 3_000.0,
    };

    #[test]
    fn quantiles_are_those_of_the_tables() {
        // P(X ≤ 4) = 0.9963 and P(X ≤ 5) = 0.9994 for a mean of 1; 0.9984 for 19 and 0.9993 for 20 of a mean of 10.
        assert_eq!([0.0, 0.001, 1.0, 10.0].map(most), [0.0, 0.0, 5.0, 21.0]);
        // Where the one way of reckoning gives way to the other.
        assert!((most(100.0) - most(100.01)).abs() <= 2.0, "{} {}", most(100.0), most(100.01));
    }

    /// 100 requests a second at the gateway, 60 of them for the app (2.4 ms of CPU, and 0.8 for the others); 2 streams begin in a second, and stay 20 s.
    #[test]
    fn what_is_needed_is_as_reckoned_by_hand() {
        let second = Counted {
            gateway: 100.0,
            app: 60.0,
            gateway_bytes: [500_000.0, 125_000.0],
            held: 2.0,
            held_seconds: 40.0,
            ..Counted::default()
        };
        // 10 under way are 1 at each of ten edges, and 5 at most; 40 streams.
        let [cores, memory, mbits, connections] = GROUND.need(&second, Stay::AsAsked, &MEASURED);
        assert!((cores - 0.0032).abs() < 1e-9, "{cores}");
        assert!((connections - 90.0).abs() < 1e-9, "{connections}");
        // 16 MB and 1.3 MB of cache, 50 connections of 40 kB are 2 MB, 40 streams 1.76 MB: 21.06 MB.
        assert!((memory - 21_060_000.0 / 1_048_576.0).abs() < 1e-9, "{memory}");
        // 625 kB are 5 Mbit, and 100 heads.
        assert!((mbits - (5.0 + 100.0 * HEAD * 8.0 / 1e6)).abs() < 1e-9, "{mbits}");
        // An hour each are 7,200.
        assert!((streams(&second, Stay::Hour) - 7_200.0).abs() < 1e-9);
        assert!((GROUND.need(&second, Stay::Hour, &MEASURED)[3] - 7_250.0).abs() < 1e-9);
    }

    #[test]
    fn an_edge_has_a_connection_and_the_cache_an_end() {
        let quiet = GROUND.need(&Counted::default(), Stay::AsAsked, &MEASURED);
        assert!((quiet[3] - 10.0).abs() < 1e-9, "{quiet:?}");
        let full = Ground { kept: 1e12, ..GROUND }.need(&Counted::default(), Stay::AsAsked, &MEASURED);
        assert!((full[1] - (128.0 + 16_400_000.0 / 1_048_576.0)).abs() < 1e-9, "{full:?}");
    }
}
