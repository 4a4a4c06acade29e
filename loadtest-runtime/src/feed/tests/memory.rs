//! What data costs. By hand, with 100 MB:
//! `LOADTEST_FEED_MB=100 cargo test -p loadtest-runtime --lib feed::tests::memory -- --nocapture`.

use std::io::Write;

use super::*;

#[derive(serde::Deserialize)]
struct User {
    name: String,
    mail: String,
    city: String,
    age: u32,
}

impl User {
    fn len(&self) -> u64 {
        (self.name.len() + self.mail.len() + self.city.len()) as u64 + u64::from(self.age > 0)
    }
}

/// A file of at least so many bytes, and how many they are.
fn written(bytes: u64, header: &str, row: impl Fn(u64) -> String) -> (tempfile::NamedTempFile, u64) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let mut writer = std::io::BufWriter::new(file.reopen().expect("opened"));
    let mut len = header.len() as u64;
    writer.write_all(header.as_bytes()).expect("written");
    for n in 0.. {
        if len >= bytes {
            break;
        }
        let row = row(n);
        len += row.len() as u64;
        writer.write_all(row.as_bytes()).expect("written");
    }
    writer.flush().expect("written");
    (file, len)
}

/// How many times the size of the data reading took at most, and how many times it keeps.
fn cost<T>(len: u64, read: impl FnOnce() -> Result<Feed<T>>) -> (f64, f64, Feed<T>) {
    let mut kept = None;
    let info = allocation_counter::measure(|| kept = Some(read().expect("is read")));
    let (most, keeps) = (info.bytes_max as f64 / len as f64, info.bytes_current as f64 / len as f64);
    println!("{} MB of data: {most:.2} times as much while reading, {keeps:.2} then", len / 1_000_000);
    (most, keeps, kept.expect("set"))
}

#[test]
fn data_is_in_memory_once() {
    let megabytes: u64 = match std::env::var("LOADTEST_FEED_MB") {
        Ok(number) => number.parse().expect("a number of megabytes"),
        Err(_) => 20,
    };
    let bytes = megabytes * 1_000_000;
    let (name, mail, city) = ("n".repeat(30), "m".repeat(60), "c".repeat(50));
    let (csv, len) =
        written(bytes, "name,mail,city,age\n", |n| format!("{name}{n},{mail}{n},{city}{n},{}\n", n % 90));
    let (most, keeps, users) = cost(len, || Feed::<User>::csv(csv.path()));
    assert!(most <= 2.5 && keeps <= 1.7, "structs: {most}, {keeps}");
    let (most, keeps, rows) = cost(len, || Feed::rows(csv.path()));
    assert!(most <= 2.5 && keeps <= 1.6, "rows: {most}, {keeps}");
    assert_eq!(users.items().len(), rows.items().len());

    let (json, len) = written(bytes / 4, "", |n| {
        format!("{{\"name\":\"{name}{n}\",\"mail\":\"{mail}\",\"city\":\"{city}\",\"age\":{}}}\n", n % 90)
    });
    let (most, keeps, _) = cost(len, || Feed::<User>::json(json.path()));
    assert!(most <= 2.5 && keeps <= 1.5, "JSON: {most}, {keeps}");

    // As many handles as virtual users, and all that they ask for.
    let mut seen = 0;
    for order in [Order::Sequential, Order::Random, Order::UniquePerVu, Order::UniquePerIteration] {
        let users = users.clone().order(order);
        // The counts of draws of this thread's virtual users are made with their first draw.
        let ask = |users: &Feed<User>| {
            let turns = (0..1000).map(|n| IterationTurn { vu: n, iteration_in_test: n, ..turn(0, 1) });
            turns.map(|turn| users.clone().at(&turn).map_or(0, User::len)).sum::<u64>()
        };
        seen += ask(&users);
        let info = allocation_counter::measure(|| seen += ask(&users));
        assert_eq!(info.count_total, 0, "{order:?}: {info:?}");
    }
    assert!(seen > 0);
}
