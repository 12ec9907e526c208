//! Flags as tables of cases and properties.

use proptest::prelude::*;

use super::*;

const OFF: config::Flags = config::Flags { cache: 0, batching: 0, single_flight: 0, warming: 0 };

fn flags(cache: u8) -> Flags {
    Flags::new(config::Flags { cache, ..OFF })
}

#[test]
fn a_value_is_read_or_refused_with_its_reason() {
    use WantedError::{NoPercent, NotWhole, TooMuch, Unknown};
    let cases = [
        ("on", Ok(100)),
        ("off", Ok(0)),
        ("0%", Ok(0)),
        ("25%", Ok(25)),
        ("025%", Ok(25)),
        ("100%", Ok(100)),
        ("101%", Err(TooMuch)),
        ("256%", Err(TooMuch)),
        ("99999999999999999999%", Err(TooMuch)),
        ("0.5%", Err(NotWhole)),
        (".5%", Err(NotWhole)),
        ("0.25", Err(NotWhole)),
        ("-1%", Err(NotWhole)),
        ("+1%", Err(NotWhole)),
        ("25", Err(NoPercent)),
        ("-1", Err(NoPercent)),
        ("1", Err(NoPercent)),
        ("", Err(Unknown)),
        ("%", Err(Unknown)),
        ("-%", Err(Unknown)),
        (".%", Err(Unknown)),
        ("1.2.3%", Err(Unknown)),
        ("25 %", Err(Unknown)),
        (" on", Err(Unknown)),
        ("ON", Err(Unknown)),
        ("true", Err(Unknown)),
        ("25%%", Err(Unknown)),
    ];
    for (text, wanted) in cases {
        assert_eq!(Wanted::read(text).map(Wanted::in_percent), wanted, "{text}");
    }
    for percent in 0..=100 {
        let wanted = Wanted::percent(percent).unwrap();
        assert_eq!(Wanted::read(&wanted.to_string()), Ok(wanted));
    }
    assert_eq!(Wanted::percent(101), None);
    assert_eq!([Wanted::OFF, Wanted(7), Wanted::ON].map(|wanted| wanted.to_string()), ["off", "7%", "on"]);
}

#[test]
fn every_flag_has_its_name_and_its_own_place_in_the_configuration() {
    for flag in Flag::ALL {
        assert_eq!(Flag::named(flag.name()), Some(flag));
    }
    assert_eq!((Flag::named("Cache"), Flag::named("compression"), Flag::named("")), (None, None, None));
    let flags = Flags::new(config::Flags { cache: 1, batching: 2, single_flight: 3, warming: 4 });
    let configured = Flag::ALL.map(|flag| flags.seen(flag).configured.unwrap().in_percent());
    assert_eq!(configured, [1, 2, 3, 4]);
}

#[test]
fn any_doubt_means_the_safe_default_and_is_counted() {
    let mut flags = flags(101);
    assert!(!flags.on(Flag::Cache, Client::Exempt) && !flags.on(Flag::Cache, Client::V4(1)));
    let seen = flags.seen(Flag::Cache);
    assert_eq!((seen.configured, seen.asked, seen.on, seen.doubtful), (None, 2, 0, 2));
    flags.set(Flag::Cache, Some(Wanted::ON));
    assert!(flags.on(Flag::Cache, Client::V4(1)), "what was said at run time is clear");
    flags.set(Flag::Cache, None);
    assert!(!flags.on(Flag::Cache, Client::V4(1)));
    assert!(Flag::ALL.iter().all(|flag| !flag.safe()), "the plain path is the safe one");
}

#[test]
fn run_time_counts_more_and_survives_another_configuration() {
    let mut flags = flags(100);
    assert!(flags.on(Flag::Cache, Client::Exempt));
    flags.set(Flag::Cache, Some(Wanted::ON));
    flags.set(Flag::Cache, Some(Wanted::OFF));
    assert!(!flags.on(Flag::Cache, Client::Exempt));
    flags.configure(config::Flags::DEFAULT);
    assert!(!flags.on(Flag::Cache, Client::Exempt) && flags.on(Flag::Batching, Client::Exempt));
    flags.set(Flag::Cache, None);
    assert!(flags.on(Flag::Cache, Client::Exempt));
    assert_eq!((flags.seen(Flag::Cache).asked, flags.seen(Flag::Cache).on), (4, 2));
}

#[test]
fn what_is_forced_off_is_off_until_that_ends_and_then_as_it_was() {
    let mut flags = flags(100);
    flags.set(Flag::Cache, Some(Wanted::percent(100).unwrap()));
    flags.force_off(Flag::Cache, true);
    assert!(!flags.on(Flag::Cache, Client::V4(1)) && flags.seen(Flag::Cache).forced_off);
    flags.set(Flag::Cache, Some(Wanted::ON));
    flags.configure(config::Flags::DEFAULT);
    assert!(!flags.on(Flag::Cache, Client::V4(1)), "nobody's word counts against it");
    assert!(flags.on(Flag::Batching, Client::V4(1)), "and it is of one flag");
    flags.force_off(Flag::Cache, false);
    assert!(flags.on(Flag::Cache, Client::V4(1)));
}

#[test]
fn drift_is_the_distance_between_the_wanted_and_the_seen_share() {
    let mut flags = flags(40);
    let (lucky, other) = {
        let first = |on: bool| (0..).map(Client::V4).find(|&client| has(Flag::Cache, client, Wanted(40)) == on).unwrap();
        (first(true), first(false))
    };
    (0..WINDOW - 1).for_each(|_| assert!(flags.on(Flag::Cache, lucky)));
    assert_eq!(flags.seen(Flag::Cache).drift, None, "the window is not over");
    assert!(!flags.on(Flag::Cache, other));
    assert_eq!(flags.seen(Flag::Cache).drift, Some(9990 - 4000));
    for ask in 0..WINDOW {
        flags.on(Flag::Cache, if ask % 5 < 2 { lucky } else { other });
    }
    assert_eq!(flags.seen(Flag::Cache).drift, Some(0));
    (0..WINDOW / 2).for_each(|_| assert!(flags.on(Flag::Cache, lucky)));
    flags.set(Flag::Cache, Some(Wanted::OFF));
    assert_eq!(flags.seen(Flag::Cache).drift, None, "another share is wanted");
    (0..WINDOW).for_each(|_| assert!(!flags.on(Flag::Cache, lucky)));
    assert_eq!(flags.seen(Flag::Cache).drift, Some(0), "what was seen before is not measured by it");
}

#[test]
fn a_place_is_the_same_in_every_build_on_every_machine() {
    let places =
        [Client::Exempt, Client::V4(0x0a00_0001), Client::V6(0x2001_0db8 << 32)].map(|client| place(Flag::Cache, client));
    assert_eq!(places, [6907, 9232, 734]);
}

#[test]
fn a_share_of_many_clients_is_that_share() {
    for flag in Flag::ALL {
        for percent in [1, 25, 50, 99] {
            let on = (0..10_000_u32).filter(|&number| has(flag, Client::V4(0xc0a8_0000 + number), Wanted(percent))).count();
            // Four standard deviations of 10,000 tosses are 200 at most.
            assert!(on.abs_diff(usize::from(percent) * 100) < 200, "{} at {percent} %: {on}", flag.name());
        }
    }
    let both =
        (0..10_000).map(Client::V4).filter(|&client| Flag::ALL[..2].iter().all(|&flag| has(flag, client, Wanted(50)))).count();
    assert!(both.abs_diff(2500) < 200, "who has one early is not who has the other early: {both}");
}

fn clients() -> impl Strategy<Value = Client> {
    prop_oneof![Just(Client::Exempt), any::<u32>().prop_map(Client::V4), any::<u64>().prop_map(Client::V6)]
}

proptest! {
    #[test]
    fn who_has_a_feature_keeps_it_as_its_share_rises(client in clients(), flag in 0..4_usize) {
        let flag = Flag::ALL[flag];
        let on: Vec<bool> = (0..=100).map(|percent| has(flag, client, Wanted(percent))).collect();
        prop_assert!(on.is_sorted(), "off, then on: {:?}", on);
        prop_assert!(!on[0] && on[100]);
    }

    #[test]
    fn a_client_gets_the_same_answer_every_time_and_all_are_counted(
        asks in prop::collection::vec((0..4_usize, 0..6_u32), 0..2500), percent in 0..=100_u8,
    ) {
        let mut flags = Flags::new(config::Flags { cache: percent, batching: percent, single_flight: percent, warming: percent });
        let mut model = [(0, 0); 4];
        for (flag, client) in asks {
            let on = flags.on(Flag::ALL[flag], Client::V4(client));
            prop_assert_eq!(on, place(Flag::ALL[flag], Client::V4(client)) < u32::from(percent) * 100);
            model[flag].0 += 1;
            model[flag].1 += u64::from(on);
        }
        prop_assert_eq!(Flag::ALL.map(|flag| (flags.seen(flag).asked, flags.seen(flag).on)), model);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[-+.%0-9 onf]{0,6}") {
        if let Ok(wanted) = Wanted::read(&text) {
            prop_assert!(wanted <= Wanted::ON && Wanted::read(&wanted.to_string()) == Ok(wanted));
        }
    }
}
