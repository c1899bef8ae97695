//! What the site costs in a month, line by line, from a file of prices and from what gateway and edge have counted. Pure: who calls has read both,
//! and says what time it is.

mod bill;
mod prices;

pub use bill::bill;
pub use prices::{Prices, Supposed};
