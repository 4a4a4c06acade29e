//! Items that are no functions.

use loadtest_runtime::load_test;

#[load_test]
pub struct Shop;

/// With an attribute before it.
#[load_test]
#[derive(Debug)]
pub(crate) enum Door {
    Open,
}

#[load_test]
mod tests {}

trait Service {
    #[load_test]
    async fn start();
}

fn main() {}
