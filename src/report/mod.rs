//! Reports: renderings of a record. One view model, and one file per format.

mod agents;
mod answer;
pub mod comparison;
mod csv;
mod error;
mod format;
mod hosts;
mod html;
mod junit;
mod links;
mod load;
mod markdown;
mod marks;
mod openmetrics;
mod page;
mod printable;
mod races;
mod schema;
mod sentence;
mod side_table;
mod table;
mod view;

pub use error::ReportError;
pub use format::Format;
pub use load::{LoadView, load_json, load_table};
pub use markdown::markdown;
pub use page::{PageError, page};
pub use printable::printable;
pub use schema::schema;
pub use table::table;
pub use view::{Row, View};
