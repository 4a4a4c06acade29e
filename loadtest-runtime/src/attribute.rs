//! What the expansion of `#[load_test]` calls: options from literals and constants.
//!
//! The main type is [`Attribute`]. The macro has checked every literal already; a constant is known only
//! here, so its mistake names the key. Conversions are by type, so that a constant of a wrong type is an
//! error of the compiler.

use std::time::Duration;

use loadtest_core::Error;
use loadtest_core::options::{self, Options, Stage};
use loadtest_core::threshold::Threshold;
use loadtest_core::units::{format_duration, parse_duration};

/// The keys of one attribute. The first mistake is kept for [`Attribute::finish`].
#[derive(Debug, Default)]
pub struct Attribute {
    options: Options,
    mistake: Option<Error>,
}

macro_rules! keys {
    ($( $key:ident: $kind:ident; )*) => { $( keys!(@ $key $kind); )* };
    (@ $key:ident duration) => {
        #[doc = concat!("The key `", stringify!($key), "`.")]
        #[must_use]
        pub fn $key(mut self, value: impl IntoDuration) -> Self {
            self.options.$key = self.keep(stringify!($key), value.into_duration());
            self
        }
    };
    (@ $key:ident count) => {
        #[doc = concat!("The key `", stringify!($key), "`.")]
        #[must_use]
        pub fn $key(mut self, value: impl IntoCount) -> Self {
            self.options.$key = self.keep(stringify!($key), narrow(value.into_count()));
            self
        }
    };
    (@ $key:ident text) => {
        #[doc = concat!("The key `", stringify!($key), "`.")]
        #[must_use]
        pub fn $key(mut self, value: &str) -> Self {
            if let Err(error) = self.options.set(stringify!($key), value) {
                self.mistake.get_or_insert(error);
            }
            self
        }
    };
    (@ $key:ident switch) => {
        #[doc = concat!("The key `", stringify!($key), "`.")]
        #[must_use]
        pub fn $key(mut self, value: bool) -> Self {
            self.options.http.$key = Some(value);
            self
        }
    };
    (@ $key:ident http_count) => {
        #[doc = concat!("The key `", stringify!($key), "`.")]
        #[must_use]
        pub fn $key(mut self, value: impl IntoCount) -> Self {
            self.options.http.$key = self.keep(stringify!($key), narrow(value.into_count()));
            self
        }
    };
    (@ $key:ident text_or_number) => {
        #[doc = concat!("The key `", stringify!($key), "`.")]
        #[must_use]
        pub fn $key(mut self, value: impl IntoText) -> Self {
            if let Err(error) = self.options.set(stringify!($key), &value.into_text()) {
                self.mistake.get_or_insert(error);
            }
            self
        }
    };
    (@ $key:ident list) => {
        #[doc = concat!("The key `", stringify!($key), "`.")]
        #[must_use]
        pub fn $key(self, values: &[&str]) -> Self {
            self.several(stringify!($key), values)
        }
    };
}

impl Attribute {
    /// An attribute without keys.
    pub fn new() -> Self {
        Self::default()
    }

    keys! {
        executor: text;
        vus: count;
        iterations: count;
        max_duration: duration;
        duration: duration;
        start_vus: count;
        graceful_ramp_down: duration;
        rate: count;
        start_rate: count;
        max_rate: count;
        time_unit: duration;
        pre_allocated_vus: count;
        max_vus: count;
        search: text;
        step: count;
        probe_duration: duration;
        start_time: duration;
        graceful_stop: duration;
        min_iteration_duration: duration;
        warm_up: duration;
        rps: count;
        reset: text;
        preflight: text;
        user_agent: text;
        max_redirects: http_count;
        discard_response_bodies: switch;
        insecure_skip_tls_verify: switch;
        no_connection_reuse: switch;
        no_vu_connection_reuse: switch;
        http_version: text;
        tls_version: text;
        tls_auth: list;
        dns: text;
        local_ips: list;
        block_ips: list;
        block_hostnames: list;
        allow: list;
        batch: http_count;
        batch_per_host: http_count;
        cookies: text;
        http_debug: text;
        runs: text_or_number;
        min_effect: text_or_number;
        equivalence: text_or_number;
        alpha: text_or_number;
        gate: list;
    }

    /// The key `compare_duration`.
    #[must_use]
    pub fn compare_duration(mut self, value: impl IntoDuration) -> Self {
        // By its text, because the table refuses a time that is none.
        if let Some(time) = self.keep("compare_duration", value.into_duration())
            && let Err(error) = self.options.set("compare_duration", &format_duration(time))
        {
            self.mistake.get_or_insert(error);
        }
        self
    }

    /// The key `stages`, as a whole.
    #[must_use]
    pub fn stages(mut self, stages: impl IntoStages) -> Self {
        self.options.stages = self.keep("stages", stages.into_stages());
        self
    }

    /// One stage more.
    #[must_use]
    pub fn stage(mut self, duration: impl IntoDuration, target: impl IntoCount) -> Self {
        let stage = stage(self.options.stages.as_ref().map_or(0, Vec::len), duration, target);
        if let Some(stage) = self.keep("stages", stage) {
            self.options.stages.get_or_insert_default().push(stage);
        }
        self
    }

    /// One threshold more.
    #[must_use]
    pub fn threshold(mut self, text: &str) -> Self {
        let threshold = self.keep("thresholds", text.parse::<Threshold>());
        self.options.thresholds.extend(threshold);
        self
    }

    /// One tag more.
    #[must_use]
    pub fn tag(mut self, key: &str, value: &str) -> Self {
        self.options.tags.insert(key.to_owned(), value.to_owned());
        self
    }

    /// One value for `vu.env(..)` more.
    #[must_use]
    pub fn env(mut self, key: &str, value: &str) -> Self {
        self.options.env.insert(key.to_owned(), value.to_owned());
        self
    }

    /// One of `hosts` more: where a name leads.
    #[must_use]
    pub fn host(mut self, name: &str, address: &str) -> Self {
        if let Err(error) = self.options.set("hosts", &format!("{name}={address}")) {
            self.mistake.get_or_insert(error);
        }
        self
    }

    /// The options.
    ///
    /// # Errors
    /// The first key whose constant is wrong.
    pub fn finish(self) -> Result<Options, Error> {
        match self.mistake {
            None => Ok(self.options),
            Some(mistake) => Err(mistake),
        }
    }

    /// The values of a key that has several, each read by itself where setting it again adds to what is there.
    fn several(mut self, key: &str, values: &[&str]) -> Self {
        let adds = options::option(key).is_some_and(|option| option.adds);
        let joined = values.join(",");
        let texts = if adds { values } else { &[joined.as_str()][..] };
        for text in texts {
            if let Err(error) = self.options.set(key, text) {
                self.mistake.get_or_insert(error);
            }
        }
        self
    }

    fn keep<T>(&mut self, key: &str, value: Result<T, Error>) -> Option<T> {
        match value {
            Ok(value) => Some(value),
            Err(error) => {
                self.mistake.get_or_insert_with(|| error.context(format_args!("`{key}`")));
                None
            }
        }
    }
}

fn stage(index: usize, duration: impl IntoDuration, target: impl IntoCount) -> Result<Stage, Error> {
    let stage = || Ok(Stage { duration: duration.into_duration()?, target: target.into_count()? });
    stage().map_err(|error: Error| error.context(format_args!("stage {}", index + 1)))
}

fn narrow<N: TryFrom<u64>>(count: Result<u64, Error>) -> Result<N, Error> {
    let count = count?;
    N::try_from(count)
        .map_err(|_| Error::new(format!("{count} is too large")).hint(format!("the most is {}", u32::MAX)))
}

/// A value of a key that is a time.
#[diagnostic::on_unimplemented(
    message = "a time is a `&str` such as \"1m30s\" or a `std::time::Duration`, not `{Self}`",
    label = "not a time"
)]
pub trait IntoDuration {
    /// The time.
    ///
    /// # Errors
    /// If the text is no duration.
    fn into_duration(self) -> Result<Duration, Error>;
}

impl IntoDuration for Duration {
    fn into_duration(self) -> Result<Duration, Error> {
        Ok(self)
    }
}

impl IntoDuration for &str {
    fn into_duration(self) -> Result<Duration, Error> {
        parse_duration(self)
    }
}

/// A value of a key that is a number.
#[diagnostic::on_unimplemented(
    message = "a whole number is wanted, not `{Self}`",
    label = "not a whole number"
)]
pub trait IntoCount {
    /// The number.
    ///
    /// # Errors
    /// If it is negative.
    fn into_count(self) -> Result<u64, Error>;
}

macro_rules! counts {
    ($($number:ty)*) => { $(
        impl IntoCount for $number {
            fn into_count(self) -> Result<u64, Error> {
                u64::try_from(self).map_err(|_| Error::new(format!("{self} is not a number of things")))
            }
        }
    )* };
}

counts!(u8 u16 u32 u64 usize i8 i16 i32 i64 isize);

/// A value of a key that is text or a number: `"auto"` and `8`, `"5%"` and `0.05`.
#[diagnostic::on_unimplemented(
    message = "text or a number is wanted, not `{Self}`",
    label = "neither text nor a number"
)]
pub trait IntoText {
    /// The text.
    fn into_text(self) -> String;
}

macro_rules! texts {
    ($($value:ty)*) => { $(
        impl IntoText for $value {
            fn into_text(self) -> String {
                self.to_string()
            }
        }
    )* };
}

texts!(&str u8 u16 u32 u64 usize i8 i16 i32 i64 isize f32 f64);

/// A value of the key `stages`.
#[diagnostic::on_unimplemented(
    message = "stages are a `&str` such as \"1m:10, 30s:0\" or an array of (duration, target), not `{Self}`",
    label = "not stages"
)]
pub trait IntoStages {
    /// The stages.
    ///
    /// # Errors
    /// If one of them is wrong: which one.
    fn into_stages(self) -> Result<Vec<Stage>, Error>;
}

impl IntoStages for &str {
    fn into_stages(self) -> Result<Vec<Stage>, Error> {
        options::parse_stages(self)
    }
}

impl<D: IntoDuration + Copy, C: IntoCount + Copy> IntoStages for &[(D, C)] {
    fn into_stages(self) -> Result<Vec<Stage>, Error> {
        self.iter().enumerate().map(|(n, &(duration, target))| stage(n, duration, target)).collect()
    }
}

impl<D: IntoDuration + Copy, C: IntoCount + Copy, const N: usize> IntoStages for &[(D, C); N] {
    fn into_stages(self) -> Result<Vec<Stage>, Error> {
        self.as_slice().into_stages()
    }
}

impl<D: IntoDuration + Copy, C: IntoCount + Copy, const N: usize> IntoStages for [(D, C); N] {
    fn into_stages(self) -> Result<Vec<Stage>, Error> {
        self.as_slice().into_stages()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_of_every_type_are_taken() {
        const RAMP: [(&str, u32); 2] = [("1s", 100), ("3s", 0)];
        const HOLD: Duration = Duration::from_secs(2);
        let options = Attribute::new().stages(RAMP).stage(HOLD, 5u64).graceful_stop(HOLD).finish();
        let options = options.expect("valid");
        let shown: Vec<_> = options.stages.iter().flatten().map(ToString::to_string).collect();
        assert_eq!(shown, ["1s:100", "3s:0", "2s:5"]);
        assert_eq!(options.graceful_stop, Some(HOLD));
        assert_eq!(
            Attribute::new()
                .stages("1s:100")
                .stages(&RAMP[..])
                .finish()
                .expect("valid")
                .stages
                .map_or(0, |s| s.len()),
            2
        );
    }

    #[test]
    fn an_arrival_rate_is_read_from_constants() {
        const RATE: u64 = 5_000_000_000;
        let options = Attribute::new()
            .executor("constant-arrival-rate")
            .rate(RATE)
            .time_unit(Duration::from_secs(60))
            .duration("1h")
            .pre_allocated_vus(10u8)
            .max_vus(20usize)
            .rps(500)
            .start_time("1m")
            .min_iteration_duration("100ms")
            .preflight("/health")
            .reset("make reset")
            .finish();
        let options = options.expect("valid");
        assert_eq!((options.rate, options.rps, options.max_vus), (Some(RATE), Some(500), Some(20)));
        assert_eq!(
            (options.preflight.as_deref(), options.reset.as_deref()),
            (Some("/health"), Some("make reset"))
        );
        let workload = options.resolve().expect("a whole load");
        assert_eq!(workload.start_time, Duration::from_secs(60));
        assert_eq!(workload.min_iteration_duration, Duration::from_millis(100));
        assert_eq!(workload.shape.allocated_vus(), 10);
    }

    #[test]
    fn http_settings_are_read_from_constants() {
        const STAGING: &str = "staging.example.org:443";
        const CAREFUL: bool = false;
        let options = Attribute::new()
            .allow(&["loopback", STAGING])
            .tls_auth(&["a.pem:a.key for a.example,b.example", "c.pem:c.key"])
            .host("*.example.org", "127.0.0.1:8080")
            .insecure_skip_tls_verify(CAREFUL)
            .batch(5u8)
            .cookies("test")
            .finish()
            .expect("valid");
        let shown = |name: &str| {
            let option = options::option(name).expect("known");
            (option.show)(&options).unwrap_or_default().join(" + ")
        };
        assert_eq!(shown("allow"), "loopback,staging.example.org:443");
        assert_eq!(shown("tls_auth"), "a.pem:a.key for a.example,b.example + c.pem:c.key");
        assert_eq!(shown("hosts"), "*.example.org=127.0.0.1:8080");
        assert_eq!(shown("insecure_skip_tls_verify"), "false");
        assert_eq!((shown("batch"), shown("cookies")), ("5".to_owned(), "test".to_owned()));
        let wrong = Attribute::new().allow(&["loopback", "http://x"]).finish().expect_err("a URL");
        assert!(wrong.message().starts_with("`allow`: `http://x` is a URL"), "{wrong}");
    }

    #[test]
    fn how_it_is_compared_is_read_from_constants() {
        const PAIRS: u8 = 12;
        const EFFECT: f64 = 0.03;
        const SHORT: Duration = Duration::from_secs(20);
        let options = Attribute::new()
            .runs(PAIRS)
            .min_effect(EFFECT)
            .equivalence("10%")
            .alpha("1%")
            .gate(&["p95", "errors"])
            .compare_duration(SHORT)
            .finish()
            .expect("valid");
        let shown = ["runs", "min_effect", "equivalence", "alpha", "gate", "compare_duration"].map(|name| {
            let option = options::option(name).expect("known");
            (option.show)(&options).unwrap_or_default().join(" + ")
        });
        assert_eq!(shown, ["12", "3%", "10%", "1%", "p95,errors", "20s"]);
        let message = |attribute: Attribute| attribute.finish().expect_err("wrong").message().to_owned();
        assert!(message(Attribute::new().runs(-1)).starts_with("`runs`: `-1` is not a number of runs"));
        assert!(message(Attribute::new().alpha(5)).starts_with("`alpha`: `5` has no `%`"));
        assert!(message(Attribute::new().gate(&["p96"])).starts_with("`gate`: no metric `p96`"));
        assert!(
            message(Attribute::new().compare_duration(Duration::ZERO)).starts_with("`compare_duration`: ")
        );
        assert!(
            message(Attribute::new().compare_duration("5")).starts_with("`compare_duration`: the duration")
        );
    }

    #[test]
    fn a_mistake_names_key_and_stage() {
        let message = |attribute: Attribute| attribute.finish().expect_err("wrong").message().to_owned();
        assert!(message(Attribute::new().stage("1s", 1).stage("2q", 1)).starts_with("`stages`: stage 2: "));
        assert!(message(Attribute::new().vus(-3)).starts_with("`vus`: -3 "));
        assert!(message(Attribute::new().vus(5_000_000_000u64)).starts_with("`vus`: 5000000000 "));
        assert!(message(Attribute::new().rate(-1)).starts_with("`rate`: -1 "));
        assert!(message(Attribute::new().search("bianry")).starts_with("`search`: "));
        assert!(
            message(Attribute::new().preflight("health")).starts_with("`preflight`: `health` is neither ")
        );
        assert!(message(Attribute::new().reset(" ")).starts_with("`reset`: "));
        assert!(message(Attribute::new().time_unit("1").rps(-1)).starts_with("`time_unit`: "));
        assert!(message(Attribute::new().executor("ramping")).starts_with("`executor`: unknown executor"));
    }
}
