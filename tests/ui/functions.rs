//! Functions that can't be load tests.

use loadtest_runtime::{Vu, load_test};

struct Data;

async fn start() -> Data {
    Data
}

async fn login(_vu: &mut Vu) -> Data {
    Data
}

#[load_test]
fn not_async() {}

#[load_test]
async fn by_value(_vu: Vu) {}

#[load_test]
async fn shared(_vu: &Vu) {}

#[load_test(setup = start)]
async fn wrong_order(_data: &Data, _vu: &mut Vu) {}

#[load_test(setup = start)]
async fn data_by_value(_vu: &mut Vu, _data: Data) {}

#[load_test(setup = start)]
async fn data_by_mut(_vu: &mut Vu, _data: &mut Data) {}

#[load_test]
async fn no_setup(_vu: &mut Vu, _data: &Data) {}

#[load_test]
async fn no_vu_init(_vu: &mut Vu, _state: &mut Data) {}

#[load_test(vu_init = login)]
async fn state_by_reference(_vu: &mut Vu, _state: &Data) {}

#[load_test(setup = start)]
async fn data_but_no_vu_init(_vu: &mut Vu, _data: &Data, _state: &mut Data) {}

#[load_test(vu_init = login)]
async fn state_but_no_setup(_vu: &mut Vu, _data: &Data, _state: &mut Data) {}

#[load_test(setup = start, vu_init = login)]
async fn both_by_reference(_vu: &mut Vu, _data: &Data, _state: &Data) {}

#[load_test(setup = start, vu_init = login)]
async fn both_by_mut(_vu: &mut Vu, _data: &mut Data, _state: &mut Data) {}

#[load_test(setup = start, vu_init = login)]
async fn state_by_value(_vu: &mut Vu, _data: &Data, _state: Data) {}

#[load_test(setup = start, vu_init = login)]
async fn state_before_data(_vu: &mut Vu, _state: &mut Data, _data: &Data) {}

#[load_test(setup = start, vu_init = login)]
async fn too_many(_vu: &mut Vu, _data: &Data, _state: &mut Data, _more: u32) {}

#[load_test]
async fn generic<T>(_vu: &mut Vu) {}

#[load_test]
async fn bounded(_vu: &mut Vu)
where
    Vu: Sized,
{
}

#[load_test]
async unsafe extern "C" fn every_keyword() {}

#[load_test]
const fn constant() {}

#[load_test]
#[test]
async fn unit_test_too() {}

struct Shop;

impl Shop {
    #[load_test]
    async fn method(&self) {}
}

fn main() {}
