//! Reports: renderings of a summary. One view-model, then one file per format.

mod markdown;
mod table;
mod view;

pub use markdown::markdown;
pub use table::table;
pub use view::{Row, View};
