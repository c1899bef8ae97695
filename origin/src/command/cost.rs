//! `origin cost`.

use std::path::Path;

use origin::cost::{Prices, bill};
use time::OffsetDateTime;

use super::{Failure, listener};

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
    let admin = listener::of("origin cost", file)?;
    let counts = listener::metrics(&admin).map_err(|said| failed(said, 1))?;
    let bill = bill(&prices, &counts, OffsetDateTime::now_utc());
    print!("By {name}.\n\n{bill}");
    Ok(None)
}
