//! `origin cost`.

use std::path::Path;

use http::Method;
use origin::admin::ask;
use origin::config;
use origin::cost::{Counts, Prices, bill};
use time::OffsetDateTime;

use super::Failure;

/// What is reckoned with where no file is named.
const SHIPPED: &str = include_str!("../../../deploy/prices.toml");

pub(crate) fn cost(prices: Option<&Path>, file: &Path) -> Result<Option<String>, Failure> {
    let failed = |said: String, code| Failure { said: format!("origin cost: {said}"), code };
    let (name, text) = match prices {
        None => ("the prices that this program comes with".to_owned(), SHIPPED.to_owned()),
        Some(path) => {
            let name = path.display().to_string();
            let text = std::fs::read_to_string(path).map_err(|e| failed(format!("`{name}` cannot be read: {e}"), 2))?;
            (name, text)
        }
    };
    let prices = Prices::parse(&text).map_err(|what| failed(format!("{name}: {what}"), 2))?;
    let config = config::load(file).map_err(|error| Failure { said: error.to_string(), code: 78 })?;
    let admin = config.admin.as_ref().ok_or_else(|| {
        failed("the configuration has no [admin], so the gateway can't be asked what it has counted".to_owned(), 78)
    })?;
    let said = ask(admin, &Method::GET, "/metrics", String::new());
    let counts = match said.map_err(|error| failed(format!("the gateway can't be asked: {error}"), 1))? {
        (200, said) => Counts::parse(&said),
        (status, said) => return Err(failed(format!("the gateway says {status}: {}", said.trim()), 1)),
    };
    let bill = bill(&prices, &counts, OffsetDateTime::now_utc());
    print!("By {name}.\n\n{bill}");
    Ok(None)
}
