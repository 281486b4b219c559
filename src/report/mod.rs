//! Reports: renderings of a summary. One view-model, then one file per format.

mod load;
mod markdown;
mod table;
mod view;

pub use load::{LoadView, load_json, load_table};
pub use markdown::markdown;
pub use table::table;
pub use view::{Row, View};
