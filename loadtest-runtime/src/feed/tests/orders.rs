use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const WHOLE: (u32, u32) = (0, 1);

fn letters(order: Order, exhausted: Exhausted) -> Feed<char> {
    let feed = Feed::from_vec(vec!['a', 'b', 'c']).expect("not empty").name("letters");
    feed.order(order).on_exhausted(exhausted)
}

/// What these turns get; `-` for nothing.
fn told(feed: &Feed<char>, turns: impl IntoIterator<Item = IterationTurn<'static>>) -> String {
    turns.into_iter().map(|turn| feed.at(&turn).copied().unwrap_or('-')).collect()
}

/// Turns of the virtual users 0, 1, .. of a shard, each in its first iteration.
fn users((index, count): (u32, u32)) -> impl Iterator<Item = IterationTurn<'static>> {
    let first = turn(index, count);
    (0..5).map(move |n| IterationTurn { vu: first.shard.global_id(n), ..first })
}

/// The iterations 0, 1, .. of a shard, all of one virtual user.
fn iterations((index, count): (u32, u32)) -> impl Iterator<Item = IterationTurn<'static>> {
    let first = turn(index, count);
    let number = move |n| first.shard.global_id(n);
    (0..5).map(move |n| IterationTurn { iteration_in_instance: n, iteration_in_test: number(n), ..first })
}

#[test]
fn every_order_says_who_gets_what_and_when_there_is_nothing() {
    use Exhausted::{EndScenario, StartOver};
    let second_of_two = (1, 2);
    let sequential = |exhausted| letters(Order::Sequential, exhausted);
    assert_eq!(told(&sequential(StartOver), users(WHOLE)), "abcab");
    assert_eq!(told(&sequential(EndScenario), users(WHOLE)), "abc--");
    assert_eq!(told(&sequential(StartOver), users(second_of_two)), "bacba");
    assert_eq!(told(&sequential(EndScenario), users(second_of_two)), "b----");

    let per_vu = |exhausted| letters(Order::UniquePerVu, exhausted);
    assert_eq!(told(&per_vu(StartOver), users(WHOLE)), "abcab");
    assert_eq!(told(&per_vu(EndScenario), users(WHOLE)), "abc--");
    assert_eq!(told(&per_vu(StartOver), users(second_of_two)), "bacba");
    assert_eq!(told(&per_vu(EndScenario), users(second_of_two)), "b----");
    assert_eq!(told(&per_vu(EndScenario), iterations(WHOLE)), "aaaaa", "the same in all iterations");

    let per_iteration = |exhausted| letters(Order::UniquePerIteration, exhausted);
    assert_eq!(told(&per_iteration(StartOver), iterations(WHOLE)), "abcab");
    assert_eq!(told(&per_iteration(EndScenario), iterations(WHOLE)), "abc--");
    assert_eq!(told(&per_iteration(StartOver), iterations(second_of_two)), "bacba");
    assert_eq!(told(&per_iteration(EndScenario), iterations(second_of_two)), "b----");
    let calls = [turn(0, 1), turn(0, 1)];
    assert_eq!(told(&per_iteration(EndScenario), calls), "aa", "the same in all calls of an iteration");

    for exhausted in [StartOver, EndScenario] {
        let random = letters(Order::Random, exhausted);
        assert!(!told(&random, (0..100).map(|_| turn(0, 1))).contains('-'), "never exhausted");
    }
}

#[test]
fn there_is_no_item_of_an_iteration_before_the_first() {
    let init = IterationTurn { in_vu_init: true, ..turn(0, 1) };
    for exhausted in [Exhausted::StartOver, Exhausted::EndScenario] {
        let feed = letters(Order::UniquePerIteration, exhausted);
        let nothing = feed.at(&init).expect_err("no iteration");
        assert!(feed.why(nothing).contains("vu_init is none\nhint: "), "{}", feed.why(nothing));
        assert_eq!(letters(Order::UniquePerVu, exhausted).at(&init), Ok(&'a'));
    }
}

#[test]
fn the_end_is_told_with_name_and_number() {
    let feed = |order| {
        let feed = Feed::from_vec((0..1000).collect()).expect("not empty").name("users.csv");
        feed.order(order).on_exhausted(Exhausted::EndScenario)
    };
    let per_iteration = feed(Order::UniquePerIteration);
    let late = IterationTurn { iteration_in_test: 1000, ..turn(0, 1) };
    let why = per_iteration.why(per_iteration.at(&late).expect_err("exhausted"));
    assert_eq!(why, "the feed `users.csv` is exhausted after 1,000 items");
    let per_vu = feed(Order::UniquePerVu);
    let many = IterationTurn { vu: 1000, ..turn(0, 1) };
    let why = per_vu.why(per_vu.at(&many).expect_err("exhausted"));
    let number = "it has 1,000 items, one per virtual user, and none for virtual user 1,001";
    assert_eq!(why, format!("the feed `users.csv` is exhausted: {number}"));
}

#[test]
fn clones_go_on_and_another_order_begins_anew() {
    let feed = letters(Order::Sequential, Exhausted::StartOver);
    let clone = feed.clone();
    assert_eq!(told(&feed, [turn(0, 1)]), "a");
    assert_eq!(told(&clone, [turn(0, 1)]), "b");
    let other = clone.order(Order::Sequential);
    assert_eq!(told(&other, [turn(0, 1)]), "a");
    assert_eq!(told(&feed, [turn(0, 1)]), "c");
    assert!(std::ptr::eq(feed.items(), other.items()), "the items are shared");
}

/// Draws of a process of its own, as far as feeds can tell.
fn draws(feed: &Feed<u32>, turns: Vec<IterationTurn<'_>>) -> Vec<u32> {
    std::thread::scope(|scope| {
        let draw = || turns.iter().map(|turn| *feed.at(turn).expect("never exhausted")).collect();
        scope.spawn(draw).join().expect("no panic")
    })
}

#[test]
fn random_draws_repeat_with_the_seed_whatever_the_scheduling() {
    let feed = |name: &str| {
        Feed::from_vec((0..1_000_000).collect()).expect("not empty").name(name).order(Order::Random)
    };
    let of = |seed, vu, iteration_in_instance| {
        let chance = (vu + 1, iteration_in_instance);
        let turn = IterationTurn { seed, vu, iteration_in_instance, chance, ..turn(0, 1) };
        vec![turn; 3]
    };
    let first = draws(&feed("a"), of(1, 0, 0));
    assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 3, "the calls of an iteration differ");
    assert_eq!(draws(&feed("a"), of(1, 0, 0)), first);
    // Another virtual user, and another iteration, in between.
    let mixed = [of(1, 7, 0), of(1, 0, 0), of(1, 0, 1)].concat();
    assert_eq!(draws(&feed("a"), mixed)[3..6], first);
    for other in [of(2, 0, 0), of(1, 1, 0), of(1, 0, 1)] {
        assert!(draws(&feed("a"), other).iter().all(|item| !first.contains(item)));
    }
    assert!(draws(&feed("b"), of(1, 0, 0)).iter().all(|item| !first.contains(item)));
    let init = IterationTurn { in_vu_init: true, chance: (1, u64::MAX), ..turn(0, 1) };
    assert!(!first.contains(&draws(&feed("a"), vec![init])[0]));
}

#[test]
fn two_feeds_without_a_name_are_not_drawn_in_step() {
    let feeds = [0; 2].map(|_| Feed::from_vec((0..1_000_000).collect()).expect("some").order(Order::Random));
    let equal = (0..100).filter(|&iteration_in_instance| {
        let chance = (1, iteration_in_instance);
        let turn = IterationTurn { iteration_in_instance, chance, ..turn(0, 1) };
        let [a, b]: [u32; 2] = feeds.each_ref().map(|feed| *feed.at(&turn).expect("never exhausted"));
        a == b
    });
    assert_eq!(equal.count(), 0);
}

#[test]
fn random_draws_are_uniform() {
    let feed = Feed::from_vec((0..10u32).collect()).expect("not empty").order(Order::Random);
    let turns = (0..20_000).map(|n| IterationTurn {
        iteration_in_instance: n / 40,
        chance: (n % 40, n / 40),
        ..turn(0, 1)
    });
    let mut counts = BTreeMap::new();
    for item in draws(&feed, turns.collect()) {
        *counts.entry(item).or_insert(0u32) += 1;
    }
    let chi_square: f64 = counts.values().map(|&count| (f64::from(count) - 2000.0).powi(2) / 2000.0).sum();
    // 9 degrees of freedom: above this once in 100,000 seeds, and the seed is fixed.
    assert!(counts.len() == 10 && chi_square < 39.3, "{chi_square}: {counts:?}");
}

#[test]
fn threads_share_the_cursor_and_each_item_is_taken_once() {
    let feed = Feed::from_vec((0..4000u32).collect()).expect("not empty");
    let feed = feed.on_exhausted(Exhausted::EndScenario);
    let take = || std::iter::from_fn(|| feed.at(&turn(0, 1)).ok().copied()).collect::<Vec<_>>();
    let mut taken: Vec<u32> = std::thread::scope(|scope| {
        let threads = [0; 4].map(|_| scope.spawn(take));
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    taken.sort_unstable();
    assert!(taken.iter().eq(feed.items()));
}

proptest! {
    #[test]
    fn shards_share_all_items_and_no_item_twice(shards in 1u32..9, items in 1usize..200) {
        let all: Vec<usize> = (0..items).collect();
        for order in [Order::Sequential, Order::UniquePerVu, Order::UniquePerIteration] {
            let mut given = Vec::new();
            for index in 0..shards {
                // A feed for each process.
                let feed = Feed::from_vec(all.clone()).expect("not empty");
                let feed = feed.order(order).on_exhausted(Exhausted::EndScenario);
                for n in 0.. {
                    let first = turn(index, shards);
                    let number = first.shard.global_id(n);
                    let turn = IterationTurn { vu: number, iteration_in_test: number, ..first };
                    let Ok(item) = feed.at(&turn) else { break };
                    given.push(*item);
                }
            }
            given.sort_unstable();
            prop_assert_eq!(&given, &all);
        }
    }

    #[test]
    fn every_number_has_an_item_when_it_starts_over(
        vu: u64,
        iteration: u64,
        init: bool,
        seed: u64,
        index in 0u32..4,
        len in 1usize..50,
    ) {
        for order in [Order::Sequential, Order::Random, Order::UniquePerVu, Order::UniquePerIteration] {
            let feed = Feed::from_vec(vec![(); len]).expect("not empty").order(order);
            let turn = IterationTurn {
                vu,
                iteration_in_instance: iteration,
                iteration_in_test: iteration,
                in_vu_init: init,
                seed,
                ..turn(index, 4)
            };
            prop_assert_eq!(feed.at(&turn).is_err(), init && order == Order::UniquePerIteration);
        }
    }
}
