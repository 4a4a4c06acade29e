//! Several scenarios of one test: what they share and what is counted over all of them.

use std::collections::BTreeSet;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn virtual_users_are_told_apart_over_all_scenarios_and_counted_together() {
    let ids = leak(Mutex::new(Vec::new()));
    let meet = leak(tokio::sync::Barrier::new(5));
    let note = async |vu: &mut Vu| {
        ids.lock().expect("not poisoned").push(vu.id());
        meet.wait().await;
        Ok(())
    };
    let report = Load::new()
        .threshold("vus_max: value==5")
        .threshold("vus: value<=5")
        .scenario("buy", Attribute::new().vus(3).iterations(3).executor("shared-iterations"), note)
        .scenario("sell", Attribute::new().vus(2).iterations(2).executor("shared-iterations"), note)
        .run();
    let ids: BTreeSet<u64> = ids.lock().expect("not poisoned").iter().copied().collect();
    assert_eq!(ids, (1..=5).collect());
    let gauge = report.series("vus_max");
    assert!(gauge.len() == 1 && gauge[0].1.max == 5.0, "{gauge:?}");
    assert_eq!(report.series("vus")[0].1.max, 5.0);
    assert!(report.outcome.aggregated.thresholds.iter().all(|threshold| threshold.holds));
}

#[test]
fn the_first_virtual_user_that_can_not_be_made_ready_ends_the_test() {
    let began = std::time::Instant::now();
    let load = Load::new()
        .initialised(
            "waits",
            Attribute::new().vus(2).iterations(2),
            async |vu: &mut Vu| {
                vu.sleep(MINUTE).await;
                Ok(())
            },
            async |_, ()| Ok(()),
        )
        .initialised(
            "fails",
            Attribute::new().vus(200).iterations(200),
            async |vu: &mut Vu| {
                if vu.id() == 3 {
                    return Err(Error::msg("no account is left"));
                }
                vu.sleep(MINUTE).await;
                Ok(())
            },
            async |_, ()| Ok(()),
        );
    let refused = super::super::Load::prepare(load.plan, &load.stop).err();
    assert!(matches!(refused, Some(Unready::VirtualUser(why)) if why.contains("no account is left")));
    assert!(began.elapsed() < MINUTE / 2, "{:?}", began.elapsed());
}

#[test]
fn what_is_random_in_the_kth_iteration_does_not_depend_on_who_runs_it() {
    let draw = |workers: usize| {
        let drawn = leak(Mutex::new(BTreeMap::new()));
        let feed = leak(
            crate::Feed::from_vec((0..1_000_000u64).collect())
                .expect("not empty")
                .order(crate::feed::Order::Random),
        );
        let mut load = Load::new().scenario("s", Attribute::new().vus(4).iterations(40), async move |vu| {
            let item = *feed.next(vu).await;
            let number = vu.rng().range(0..1_000_000);
            let k = vu.execution().iteration_in_test();
            drawn.lock().expect("not poisoned").insert(k, (item, number));
            vu.sleep(Duration::from_millis(k % 5)).await;
            Ok(())
        });
        load.plan.workers = workers;
        load.run();
        drawn.lock().expect("not poisoned").clone()
    };
    let first = draw(1);
    assert_eq!(first.len(), 40);
    assert_eq!(first, draw(2));
}
