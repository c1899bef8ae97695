//! How many requests may be sent twice: a fifth of what was asked of late, so that retries never become the load that
//! keeps a troubled app down (the budget of Finagle and Linkerd).

/// Seconds that are looked at.
const WINDOW: u64 = 10;
/// Retries for so many requests there is one.
const REQUESTS: u32 = 5;
/// Retries in the window that are always allowed: where there is little traffic, a fifth is nothing.
const LEAST: u32 = 10;

/// One core's budget for one app.
#[derive(Debug, Default)]
pub(super) struct Budget {
    seconds: [Second; WINDOW as usize],
}

#[derive(Clone, Copy, Debug, Default)]
struct Second {
    number: u64,
    requests: u32,
    retries: u32,
}

impl Budget {
    /// Counts a request in second `now`.
    pub(super) fn request(&mut self, now: u64) {
        self.second(now).requests += 1;
    }

    /// Whether a retry may go out in second `now`; if so, it is counted.
    pub(super) fn retry(&mut self, now: u64) -> bool {
        let of_late = self.seconds.iter().filter(|s| s.number + WINDOW > now);
        let (requests, retries) = of_late.fold((0, 0), |(q, r), s| (q + s.requests, r + s.retries));
        let allowed = retries < LEAST.max(requests / REQUESTS);
        if allowed {
            self.second(now).retries += 1;
        }
        allowed
    }

    fn second(&mut self, now: u64) -> &mut Second {
        let second = &mut self.seconds[(now % WINDOW) as usize];
        if second.number != now {
            *second = Second { number: now, ..Second::default() };
        }
        second
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, LEAST};

    fn retries(budget: &mut Budget, now: u64) -> u32 {
        (0..10_000).take_while(|_| budget.retry(now)).count().try_into().expect("few")
    }

    #[test]
    fn a_fifth_of_the_requests() {
        let mut budget = Budget::default();
        (0..1000).for_each(|n| budget.request(n / 200));
        assert_eq!(retries(&mut budget, 4), 200);
        assert!(!budget.retry(5), "spent, as long as it is in the window");
        assert_eq!(retries(&mut budget, 9), 0);
    }

    #[test]
    fn half_of_all_failing_costs_a_fifth_more() {
        let mut budget = Budget::default();
        let (mut requests, mut extra) = (0, 0);
        for second in 0..60 {
            for n in 0..100 {
                budget.request(second);
                requests += 1;
                if n % 2 == 0 && budget.retry(second) {
                    extra += 1;
                }
            }
        }
        assert!(extra * 5 <= requests + 5 * LEAST, "{extra} of {requests}");
        assert!(extra * 6 >= requests, "and the budget is used: {extra} of {requests}");
    }

    #[test]
    fn little_traffic_has_a_little_and_it_comes_back() {
        let mut budget = Budget::default();
        assert_eq!(retries(&mut budget, 0), LEAST);
        assert_eq!(retries(&mut budget, 9), 0);
        assert_eq!(retries(&mut budget, 10), LEAST);
        // Ages later: what the slots hold is long past.
        assert_eq!(retries(&mut budget, 1_000_000), LEAST);
    }
}
