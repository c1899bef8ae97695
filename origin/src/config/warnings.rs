//! What is right, and perhaps not meant.

use edge::filter::rule::Action;

use super::{Config, HostPattern, Trust};

/// Sentences for whoever wrote it.
#[must_use]
pub fn warnings(config: &Config) -> Vec<String> {
    let mut all = Vec::new();
    let named = |trust: Trust| {
        let sites = config.sites.iter().filter(|site| site.trust == trust);
        let hosts: Vec<String> = sites.flat_map(|site| &site.hosts).map(HostPattern::to_string).collect();
        (!hosts.is_empty()).then(|| hosts.join(", "))
    };
    if let Some(hosts) = named(Trust::EdgeOnly) {
        all.push(format!(
            "{hosts}: with trust = \"edge-only\" visitors get 403 whenever the Worker is skipped, as it is once its daily quota is spent; \"cloudflare\" serves them through the edge in the gateway"
        ));
    }
    if let (Some(behind), Some(direct)) =
        (named(Trust::Cloudflare).or_else(|| named(Trust::EdgeOnly)), named(Trust::Direct))
    {
        all.push(format!(
            "{direct} (trust = \"direct\") and {behind} (behind Cloudflare) share the addresses of listen.https: a firewall that admits Cloudflare only would shut the visitors of {direct} out, so port 443 must be open to all; what protects {behind} is the client certificate"
        ));
    }
    let rules =
        config.filter.iter().flat_map(|rules| rules.rules.iter()).filter(|rule| rule.action == Action::Challenge);
    if config.turnstile.is_none() {
        let names = rules.map(|rule| &*rule.name).collect::<Vec<_>>().join("`, `");
        if !names.is_empty() {
            all.push(format!(
                "filter.rules: without a [turnstile] section nobody can pass a challenge, so `{names}` blocks whoever it matches"
            ));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::warnings;

    fn of(sites: &[(&str, &str)]) -> Vec<String> {
        let mut text = "listen.http = [\"127.0.0.1:1\"]\n".to_owned();
        let folder = tempfile::tempdir().expect("a folder");
        let keys = folder.path().join("keys");
        std::fs::write(&keys, "a:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=").expect("written");
        text.push_str(&format!(
            "tls = {{ cert = {keys:?}, key = {keys:?}, client_ca = {keys:?} }}\nedge.keys_file = {keys:?}\n"
        ));
        for (host, trust) in sites {
            text.push_str(&format!("[[site]]\nhosts = [\"{host}\"]\napp = \"127.0.0.1:2\"\ntrust = \"{trust}\"\n"));
        }
        warnings(&crate::config::parse(&text).expect("good"))
    }

    #[test]
    fn a_challenge_that_nobody_can_pass() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            path
        };
        let rules = file("rules.toml", "[[rule]]\nname = \"ask\"\npath = [\"/login\"]\naction = \"challenge\"\n");
        let keys = file("keys", "a:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=");
        let secret = file("secret", "0x4AAAAAAAsecretOfAWidgetForTests000\n");
        let text = format!(
            "listen.http = [\"127.0.0.1:1\"]\nedge.keys_file = {keys:?}\nfilter.rules = {rules:?}\n[[site]]\nhosts = [\"*\"]\napp = \"127.0.0.1:2\"\n"
        );
        let told = |text: &str| warnings(&crate::config::parse(text).unwrap_or_else(|faults| panic!("{faults:?}")));
        let [blocks] = &told(&text)[..] else { panic!("one") };
        assert!(blocks.contains("without a [turnstile] section") && blocks.contains("`ask` blocks"), "{blocks}");
        let with = format!("{text}[turnstile]\nsite_key = \"0x4AAAAAAADnPIDROrmt1Wwj\"\nsecret_file = {secret:?}\n");
        assert!(told(&with).is_empty());
        let config = crate::config::parse(&with).expect("good");
        assert!(!format!("{config:?}{}", config.written.text()).contains("secretOfAWidget"));
        assert!(config.written.text().contains("clearance = \"30m\" # default"), "{}", config.written.text());
    }

    #[test]
    fn what_is_perhaps_not_meant() {
        assert!(of(&[("a", "cloudflare")]).is_empty() && of(&[("a", "direct"), ("b", "direct")]).is_empty());
        let [only] = &of(&[("a", "edge-only"), ("b", "cloudflare")])[..] else { panic!("one") };
        assert!(only.starts_with("a: with trust = \"edge-only\" visitors get 403"), "{only}");
        let [shared] = &of(&[("a", "cloudflare"), ("*", "direct")])[..] else { panic!("one") };
        assert!(shared.starts_with("* (trust = \"direct\") and a (behind Cloudflare) share"), "{shared}");
    }
}
