use super::*;
use proptest::prelude::*;

fn id(n: u8) -> NodeId {
    NodeId::from_bytes([n; 20])
}

/// The leader is number 0.
const ME: NodeId = NodeId::from_bytes([0; 20]);

/// A clock at `percent` of the right rate that has lost (or won) some time by jumps.
#[derive(Clone, Debug)]
struct Model {
    ppm: i64,
    /// When, and by how much (ms).
    jumps: Vec<(Millis, i64)>,
}

impl Model {
    fn at_rate(ppm: i64) -> Self {
        Self { ppm, jumps: Vec::new() }
    }

    fn shows(&self, time: Millis) -> Millis {
        let jumped: i64 = self.jumps.iter().filter(|(at, _)| *at <= time).map(|(_, by)| by).sum();
        let run = time as i64 * (MILLION + self.ppm) / MILLION;
        (100_000_000 + run + jumped) as Millis
    }
}

/// The leader's rates after `span` of right time, in which everybody answers each 250 ms; a delay of each way for each answer.
fn after(span: Millis, clocks: &[Model], mut delay: impl FnMut() -> (Millis, Millis)) -> Rates {
    let voters: Vec<NodeId> = (0..clocks.len()).map(|n| id(n as u8)).collect();
    let mut rates = Rates::default();
    let mut received = vec![0; clocks.len()];
    for sent in (0..span).step_by(250) {
        for (n, clock) in clocks.iter().enumerate().skip(1) {
            let (there, back) = delay();
            let arrived = sent + there;
            received[n] = received[n].max(arrived + back);
            let token = Token { nonce: 7, clock: clock.shows(arrived) };
            let (sent, now) = (clocks[0].shows(sent), clocks[0].shows(received[n]));
            rates.note(id(n as u8), token, sent, now, voters.iter(), &ME);
        }
    }
    rates
}

fn rates_of(span: Millis, clocks: &[i64]) -> Vec<Rate> {
    let models: Vec<Model> = clocks.iter().map(|ppm| Model::at_rate(*ppm)).collect();
    let rates = after(span, &models, || (1, 1));
    (1..clocks.len()).map(|n| rates.of(&id(n as u8)).0).collect()
}

#[test]
fn one_that_stands_alone_is_found_within_two_steps() {
    assert_eq!(rates_of(19_000, &[0, 0, -100_000]), [Rate::Unknown; 2]);
    assert_eq!(rates_of(24_000, &[0, 0, -100_000]), [Rate::Fits, Rate::Alone]);
    assert_eq!(rates_of(24_000, &[0, 0, 20_000]), [Rate::Fits, Rate::Alone]);
    assert_eq!(rates_of(24_000, &[0, 0, 5_000]), [Rate::Fits; 2]);
    let rates = after(24_000, &[0, 0, -100_000].map(Model::at_rate), || (1, 1));
    assert!(rates.withholds(&id(2)) && !rates.withholds(&id(1)) && !rates.own_alone());
    assert!((rates.of(&id(2)).1.unwrap() + 100_000).abs() < 1_000, "{:?}", rates.of(&id(2)));
    let lasts = rates.outlasted(&id(2), 900);
    assert!((1000..1010).contains(&lasts), "{lasts}");
    assert_eq!(rates.outlasted(&id(1), 900), 900);
}

#[test]
fn a_leader_that_stands_alone_knows_and_grants_nothing() {
    let rates = after(50_000, &[1_000_000, 0, 0].map(Model::at_rate), || (1, 1));
    assert!(rates.own_alone() && rates.withholds(&id(1)));
    assert_eq!([rates.of(&id(1)).0, rates.of(&id(2)).0], [Rate::Fits; 2]);
}

#[test]
fn where_no_majority_agrees_the_slower_one_gets_nothing() {
    assert_eq!(rates_of(24_000, &[0, -100_000]), [Rate::Disputed]);
    assert!(after(24_000, &[0, -100_000].map(Model::at_rate), || (1, 1)).withholds(&id(1)));
    assert!(!after(24_000, &[0, 100_000].map(Model::at_rate), || (1, 1)).withholds(&id(1)));
    assert_eq!(rates_of(24_000, &[0, 0, 50_000, 50_000]), [Rate::Fits, Rate::Disputed, Rate::Disputed]);
    assert_eq!(rates_of(24_000, &[0, 0, 0, 50_000, 50_000]), [Rate::Fits, Rate::Fits, Rate::Alone, Rate::Alone]);
}

#[test]
fn a_jump_is_no_rate_and_many_jumps_are() {
    let paused = |by: i64, every: Option<Millis>| {
        let jumps = (0..60).map_while(|n| Some((12_000 + n * every.unwrap_or(1_000_000), by))).collect();
        let clocks = [Model::at_rate(0), Model::at_rate(0), Model { ppm: 0, jumps }];
        after(65_000, &clocks, || (1, 1)).of(&id(2)).0
    };
    for by in [-30_000, -9_000, -1_000, 3_600_000] {
        assert_eq!(paused(by, None), Rate::Fits, "by {by}");
    }
    assert_eq!(paused(-1_000, Some(10_000)), Rate::Alone);
    assert_eq!(paused(-20, Some(1_000)), Rate::Alone);
    assert_eq!(paused(-1_000, Some(20_000)), Rate::Alone);
}

#[test]
fn it_is_over_when_the_rates_agree_again() {
    // One clock loses a tenth until it is set right after 40 s.
    let slow = |until: Millis| (0..until / 100).map(|n| (n * 100, -10)).collect();
    let clocks = [Model::at_rate(0), Model::at_rate(0), Model { ppm: 0, jumps: slow(40_000) }];
    assert_eq!(after(45_000, &clocks, || (1, 1)).of(&id(2)).0, Rate::Alone);
    assert_eq!(after(105_000, &clocks, || (1, 1)).of(&id(2)).0, Rate::Fits);
}

#[test]
fn another_process_has_another_clock() {
    let mut rates = Rates::default();
    let voters = [ME, id(1)];
    for n in 0..100 {
        let token = Token { nonce: 1 + n / 30, clock: 1_000_000 * (1 + n / 30) + n * 500 };
        rates.note(id(1), token, 1000 + n * 1000, 1001 + n * 1000, voters.iter(), &ME);
    }
    assert_eq!(rates.of(&id(1)).0, Rate::Unknown, "half as fast, but seen for too short a time since");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the delays are, and wherever each clock jumps once: rates within half a per cent of each other are never told apart.
    #[test]
    fn good_clocks_are_never_barred(
        ppm in prop::collection::vec(-2_500i64..2_500, 3..6),
        jumps in prop::collection::vec((0u64..60_000, -20_000i64..20_000), 6),
        delays in prop::collection::vec((0u64..3_000, 0u64..3_000), 50),
    ) {
        let clocks: Vec<Model> = ppm.iter().zip(&jumps).map(|(ppm, jump)| Model { ppm: *ppm, jumps: vec![*jump] }).collect();
        let mut delays = delays.iter().cycle();
        // The leader's own jump is everybody's: it does not jump here, as everybody else does.
        let clocks: Vec<Model> = [Model::at_rate(ppm[0])].into_iter().chain(clocks.into_iter().skip(1)).collect();
        let rates = after(60_000, &clocks, || *delays.next().unwrap());
        prop_assert!(!rates.own_alone());
        for (n, clock) in clocks.iter().enumerate().skip(1) {
            let rate = rates.of(&id(n as u8));
            prop_assert!(matches!(rate.0, Rate::Unknown | Rate::Fits), "{n}: {rate:?} of {clock:?}");
        }
    }

    /// With delays of a network that is fit for it, two per cent are seen within three steps.
    #[test]
    fn a_bad_clock_is_found(
        off in prop_oneof![-500_000i64..-20_000, 20_000i64..2_000_000],
        others in prop::collection::vec(-500i64..500, 2..5),
        delays in prop::collection::vec((0u64..15, 0u64..15), 50),
    ) {
        let clocks: Vec<Model> = others.iter().chain([&off]).map(|ppm| Model::at_rate(*ppm)).collect();
        let mut delays = delays.iter().cycle();
        let rates = after(36_000, &clocks, || *delays.next().unwrap());
        prop_assert_eq!(rates.of(&id(clocks.len() as u8 - 1)).0, Rate::Alone);
    }
}
