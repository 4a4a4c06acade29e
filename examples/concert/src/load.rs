//! The load tests of this service, beside its code: `cargo loadtest -p concert`.
//!
//! Each starts the `concert` binary as a process of its own and prepares tokens for its users in `setup`.
//! Pass values to the service with `-e`: `-e SLOW_BY=10%` makes it slower, `-e FAIL_RATE=5%` makes it fail.

use loadtest_runtime::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::queue::TOKEN_HEADER;
use crate::schedule::SCHEDULES;
use crate::seats::SEATS;

metrics! {
    /// Seats that someone else took first.
    static SEATS_LOST: Counter = "seats_lost";
    /// From joining the waiting queue to being admitted.
    static QUEUE_WAIT: Trend = "queue_wait" in millis;
}

/// A running service and what its visitors bring along.
struct Target {
    service: Service,
    tokens: Vec<Ticket>,
}

#[derive(Deserialize)]
struct Tickets {
    tokens: Vec<Ticket>,
}

#[derive(Deserialize)]
struct Ticket {
    token: String,
    user: u32,
}

#[derive(Deserialize)]
struct Reservation {
    reservation: String,
}

/// Starts the service and prepares a token for each of its users.
async fn open(setup: Setup) -> Result<Target> {
    let mut service = setup.service("concert")?.ready("/health");
    for (key, variable) in [("SLOW_BY", "CONCERT_SLOW_BY"), ("FAIL_RATE", "CONCERT_FAIL_RATE")] {
        if let Some(value) = setup.env(key) {
            service = service.env(variable, value);
        }
    }
    let service = service.start().await?;
    let request = setup.http().post(service.url("/tokens/batch")).json(&json!({ "users": crate::USERS }));
    let response = request.send().await?;
    if response.status() != 201 {
        return Err(Error::msg(format!("no tokens: {} {}", response.status(), response.text()?)));
    }
    let tokens = response.json::<Tickets>()?.tokens;
    Ok(Target { service, tokens })
}

/// Says how many requests the service has counted; the summary must say the same.
async fn close(target: &Target) -> Result<()> {
    let response = target.service.http().get(target.service.url("/stats")).send().await?;
    let stats = response.json::<Value>()?;
    let (total, batches) = (stats["total"].as_u64(), stats["requests"]["/tokens/batch"].as_u64());
    let Some((total, batches)) = total.zip(batches) else {
        return Err(Error::msg(format!("no counts: {} {}", response.status(), response.text()?)));
    };
    eprintln!("the service counted {} requests", total - batches);
    Ok(())
}

/// A visitor's whole way: token → schedules → seats → reservation → payment, with time to think between.
#[load_test(
    start_vus = 0,
    stages = [("1s", 100), ("3s", 100), ("1s", 0)],
    thresholds = [
        "http_req_duration{expected_response:true}: p(95)<500ms",
        "http_req_failed: rate<1%",
        "checks: rate>99%",
    ],
    binaries = ["concert"],
    setup = open,
    teardown = close,
)]
async fn buy_ticket(vu: &mut Vu, target: &Target) -> Result<()> {
    let url = |path: &str| target.service.url(path);
    let visitor = vu.rng().pick(&target.tokens).ok_or_else(|| Error::msg("no users"))?;
    let schedule = 1 + vu.rng().range(0..u64::from(SCHEDULES));

    let place =
        vu.http().get(url(&format!("/queue/{}", visitor.token))).name("/queue/{token}").send().await?;
    vu.check("admitted", place.json::<Value>().is_ok_and(|place| place["admitted"] == true));
    vu.sleep(secs(1)).await;

    let schedules = vu.http().get(url("/schedules")).header(TOKEN_HEADER, &visitor.token).send().await?;
    vu.check("schedules listed", schedules.status() == 200);
    vu.sleep(secs(1)).await;

    let seats_url = url(&format!("/schedules/{schedule}/seats"));
    let seats = vu.http().get(seats_url).header(TOKEN_HEADER, &visitor.token).send().await?;
    vu.check("seats listed", seats.status() == 200);
    vu.sleep(secs(2)).await;

    let Some(reservation) = reserve(vu, target, visitor, schedule).await? else { return Ok(()) };
    vu.sleep(secs(1)).await;
    pay(vu, target, visitor, &reservation).await
}

/// Everyone comes at once: joins the waiting queue and asks until admitted.
#[load_test(
    start_vus = 0,
    stages = [("500ms", 200), ("2s", 200), ("500ms", 0)],
    thresholds = ["queue_wait: p(95)<5s", "http_req_failed: rate<1%"],
    binaries = ["concert"],
    setup = open,
    teardown = close,
)]
async fn queue_spike(vu: &mut Vu, target: &Target) -> Result<()> {
    let user = 1 + vu.rng().range(0..u64::from(crate::USERS));
    let joined = std::time::Instant::now();
    let response = vu.http().post(target.service.url("/queue")).json(&json!({ "user": user })).send().await?;
    if !vu.check("joined", response.status() == 201) {
        return Ok(());
    }
    let token = response.json::<Ticket>()?.token;
    let place = target.service.url(&format!("/queue/{token}"));
    loop {
        let response = vu.http().get(&place).name("/queue/{token}").send().await?;
        if response.json::<Value>().is_ok_and(|place| place["admitted"] == true) {
            break;
        }
        vu.sleep(millis(50)).await;
    }
    QUEUE_WAIT.add(vu, joined.elapsed());
    vu.sleep(millis(200)).await;
    Ok(())
}

/// Reservations and payments for a while: 10 s, longer with `--duration 10m`.
#[load_test(
    vus = 20,
    duration = "10s",
    thresholds = [
        "http_req_duration{name:/payments}: p(95)<500ms",
        "http_req_failed: rate<1%",
        "iterations_failed: rate<1%",
    ],
    binaries = ["concert"],
    setup = open,
    teardown = close,
)]
async fn payment_soak(vu: &mut Vu, target: &Target) -> Result<()> {
    let visitor = vu.rng().pick(&target.tokens).ok_or_else(|| Error::msg("no users"))?;
    let schedule = 1 + vu.rng().range(0..u64::from(SCHEDULES));
    if let Some(reservation) = reserve(vu, target, visitor, schedule).await? {
        pay(vu, target, visitor, &reservation).await?;
    }
    vu.sleep(millis(20)).await;
    Ok(())
}

/// A hundred visitors a second look at seats, however long the service takes for each of them.
#[load_test(
    executor = "constant-arrival-rate",
    rate = 100,
    duration = "4s",
    pre_allocated_vus = 20,
    max_vus = 200,
    thresholds = ["http_req_duration: p(95)<500ms", "http_req_failed: rate<1%"],
    binaries = ["concert"],
    setup = open,
    teardown = close,
)]
async fn look_around(vu: &mut Vu, target: &Target) -> Result<()> {
    let visitor = vu.rng().pick(&target.tokens).ok_or_else(|| Error::msg("no users"))?;
    let schedule = 1 + vu.rng().range(0..u64::from(SCHEDULES));
    let seats = target.service.url(&format!("/schedules/{schedule}/seats"));
    let seats = vu.http().get(seats).header(TOKEN_HEADER, &visitor.token).send().await?;
    vu.check("seats listed", seats.status() == 200);
    Ok(())
}

/// Tries seats until one is free; after five lost ones the visitor gives up.
async fn reserve(vu: &mut Vu, target: &Target, visitor: &Ticket, schedule: u64) -> Result<Option<String>> {
    for _ in 0..5 {
        let seat = 1 + vu.rng().range(0..u64::from(SEATS));
        let response = vu
            .http()
            .post(target.service.url("/reservations"))
            .header(TOKEN_HEADER, &visitor.token)
            .json(&json!({ "schedule": schedule, "seat": seat }))
            .expected_status([201, 409])
            .send()
            .await?;
        if response.status() == 409 {
            SEATS_LOST.add(vu, 1.0);
            continue;
        }
        let reserved = vu.check("seat reserved", response.status() == 201);
        return if reserved { Ok(Some(response.json::<Reservation>()?.reservation)) } else { Ok(None) };
    }
    Ok(None)
}

async fn pay(vu: &mut Vu, target: &Target, visitor: &Ticket, reservation: &str) -> Result<()> {
    let response = vu
        .http()
        .post(target.service.url("/payments"))
        .header(TOKEN_HEADER, &visitor.token)
        .json(&json!({ "reservation": reservation }))
        .send()
        .await?;
    vu.check("paid", response.status() == 200);
    vu.check("by this user", response.json::<Value>().is_ok_and(|receipt| receipt["user"] == visitor.user));
    Ok(())
}
