//! Functions that can't be load tests.

use loadtest_runtime::{Vu, load_test};

struct Data;

async fn start() -> Data {
    Data
}

#[load_test]
fn not_async() {}

#[load_test]
async fn by_value(vu: Vu) {}

#[load_test]
async fn shared(vu: &Vu) {}

#[load_test(setup = start)]
async fn wrong_order(data: &Data, vu: &mut Vu) {}

#[load_test(setup = start)]
async fn data_by_value(vu: &mut Vu, data: Data) {}

#[load_test(setup = start)]
async fn data_by_mut(vu: &mut Vu, data: &mut Data) {}

#[load_test]
async fn no_setup(vu: &mut Vu, data: &Data) {}

#[load_test(setup = start)]
async fn too_many(vu: &mut Vu, data: &Data, more: u32) {}

#[load_test]
async fn generic<T>(vu: &mut Vu) {}

#[load_test]
async fn bounded(vu: &mut Vu)
where
    Vu: Sized,
{
}

#[load_test]
const async unsafe extern "C" fn every_keyword() {}

#[load_test]
#[test]
async fn unit_test_too() {}

struct Shop;

impl Shop {
    #[load_test]
    async fn method(&self) {}
}

fn main() {}
