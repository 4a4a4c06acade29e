//! What comes between while something is measured: a hypervisor that takes the CPU away, a quota that is
//! used up, a processor that gets too hot.
//!
//! The main types are [`Watch`] and [`Disturbance`]. Counters are read at the start and at the end, and
//! never between; what is made of a disturbance is decided elsewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The share of all cores' time that a hypervisor may steal.
const MAX_STEAL: f64 = 0.05;

/// The share of the time that a quota may hold processes up for.
const MAX_THROTTLED: f64 = 0.01;

/// Looks at what is beside a measurement, from its start to its stop.
#[derive(Debug)]
pub struct Watch {
    counters: Counters,
}

/// What came between. `None` is what the system does not tell.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Disturbance {
    /// CPU time that the hypervisor gave to others while it was wanted here, as a share of all cores' time.
    pub steal: Option<f64>,
    /// For how long a CPU quota held up this process's control group or one above it: the most of any. Linux
    /// adds it up over the cores, so it can be more than the time that went by.
    pub throttled: Option<Duration>,
    /// Times that a core or processor was slowed down for its temperature, as the cores count: what concerns
    /// a whole processor, each of its cores counts.
    pub thermal: Option<u64>,
}

impl Watch {
    /// Begins to watch.
    pub fn start() -> Watch {
        Watch { counters: Counters::read() }
    }

    /// What came between since the start.
    pub fn stop(self) -> Disturbance {
        Counters::read().since(&self.counters)
    }
}

impl Disturbance {
    /// Why what was measured for `seconds` can't be relied upon, a sentence without its full stop; `None` if
    /// nothing is known that speaks against it: more than 5 % stolen, held up by a quota for more than 1 % of
    /// the time, or too hot at any time.
    pub fn reason(&self, seconds: f64) -> Option<String> {
        let mut reasons = Vec::new();
        if let Some(steal) = self.steal.filter(|steal| *steal > MAX_STEAL) {
            let percent = steal * 100.0;
            reasons.push(format!("the hypervisor gave {percent:.1} % of the CPU time to others"));
        }
        if let Some(throttled) = self.throttled.map(|time| time.as_secs_f64())
            && throttled > MAX_THROTTLED * seconds
        {
            reasons.push(format!("a CPU quota held processes up for {throttled:.1} s in {seconds:.1} s"));
        }
        if self.thermal.is_some_and(|times| times > 0) {
            reasons.push("the processor was slowed down for its temperature".to_owned());
        }
        (!reasons.is_empty()).then(|| reasons.join(", and "))
    }
}

/// How the counters of the system stand.
#[derive(Debug, Default)]
struct Counters {
    cpu: Option<CpuTime>,
    /// Of each control group, from this process's upwards.
    throttled: Vec<(PathBuf, Duration)>,
    thermal: Option<u64>,
}

impl Counters {
    fn read() -> Counters {
        Counters {
            cpu: cpu_time(&text(Path::new("/proc/stat"))),
            throttled: groups(
                &text(Path::new("/proc/self/cgroup")),
                &text(Path::new("/proc/self/mountinfo")),
            )
            .into_iter()
            .filter_map(|group| {
                let time = throttled_time(&text(&group.join("cpu.stat")))?;
                Some((group, time))
            })
            .collect(),
            thermal: thermal_events(Path::new("/sys/devices/system/cpu")),
        }
    }

    fn since(&self, before: &Counters) -> Disturbance {
        let steal = self.cpu.zip(before.cpu).and_then(|(now, before)| {
            let all = now.all.checked_sub(before.all).filter(|all| *all > 0)?;
            Some(now.stolen.saturating_sub(before.stolen) as f64 / all as f64)
        });
        let throttled = self.throttled.iter().filter_map(|(group, now)| {
            let (_, then) = before.throttled.iter().find(|(known, _)| known == group)?;
            Some(now.saturating_sub(*then))
        });
        let thermal = self.thermal.zip(before.thermal).map(|(now, then)| now.saturating_sub(then));
        Disturbance { steal, throttled: throttled.max(), thermal }
    }
}

/// Time of all cores since the start of the system, in ticks.
#[derive(Debug, Clone, Copy, PartialEq)]
struct CpuTime {
    all: u64,
    stolen: u64,
}

/// The first line of `/proc/stat`: `cpu  user nice system idle iowait irq softirq steal guest guest_nice`. Time
/// of guests is in `user` and `nice` already (proc(5)).
fn cpu_time(stat: &str) -> Option<CpuTime> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line.split_ascii_whitespace().take(8).map_while(|n| n.parse().ok()).collect();
    Some(CpuTime { all: ticks.iter().copied().fold(0, u64::saturating_add), stolen: *ticks.get(7)? })
}

/// The directories of the control groups that limit this process's CPU time: its own and those above it. From
/// `/proc/self/cgroup` and `/proc/self/mountinfo` (cgroups(7), proc(5)).
fn groups(cgroup: &str, mountinfo: &str) -> Vec<PathBuf> {
    let entry = |wanted: &dyn Fn(&str, &str) -> bool| {
        cgroup.lines().find_map(|line| {
            let (id, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            wanted(id, controllers).then_some(path)
        })
    };
    // Where version 1 has the CPU's controller, version 2 does not.
    let (path, mount) = match entry(&|_, controllers| controllers.split(',').any(|c| c == "cpu")) {
        Some(path) => (path, mount_of(mountinfo, "cgroup", Some("cpu"))),
        None => match entry(&|id, controllers| id == "0" && controllers.is_empty()) {
            Some(path) => (path, mount_of(mountinfo, "cgroup2", None)),
            None => return Vec::new(),
        },
    };
    let Some((root, mount)) = mount else { return Vec::new() };
    let below = Path::new(path).strip_prefix(&root).unwrap_or(Path::new(path));
    // A path that leads out of what is mounted (`/..`) is above it, and can't be looked at.
    let is_plain = |part: std::path::Component<'_>| matches!(part, std::path::Component::Normal(_));
    let parts: Vec<_> = below.components().filter(|part| is_plain(*part)).collect();
    let outside = below.components().any(|part| part == std::path::Component::ParentDir);
    let parts = if outside { &[][..] } else { &parts[..] };
    (0..=parts.len()).rev().map(|depth| mount.join(parts[..depth].iter().collect::<PathBuf>())).collect()
}

/// What is mounted of a file system of this type, and where: fields 4 and 5, before the ` - ` that the type
/// and the options of the file system follow.
fn mount_of(mountinfo: &str, kind: &str, option: Option<&str>) -> Option<(PathBuf, PathBuf)> {
    mountinfo.lines().find_map(|line| {
        let (mount, system) = line.split_once(" - ")?;
        let mut system = system.split(' ');
        let (is_kind, options) = (system.next()? == kind, system.nth(1)?);
        let fits = is_kind && option.is_none_or(|option| options.split(',').any(|known| known == option));
        let mut fields = mount.split(' ').skip(3);
        let (root, at) = (fields.next()?, fields.next()?);
        fits.then(|| (PathBuf::from(unescaped(root)), PathBuf::from(unescaped(at))))
    })
}

/// Blanks and the like in `mountinfo` are written as three octal digits: `\040`.
fn unescaped(field: &str) -> String {
    let mut parts = field.split('\\');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code.filter(u8::is_ascii) {
            Some(code) => {
                text.push(char::from(code));
                text.push_str(&part[3..]);
            }
            None => {
                text.push('\\');
                text.push_str(part);
            }
        }
    }
    text
}

/// `throttled_usec` of version 2, `throttled_time` in nanoseconds of version 1.
fn throttled_time(cpu_stat: &str) -> Option<Duration> {
    cpu_stat.lines().find_map(|line| {
        let (key, value) = line.split_once(' ')?;
        let value = || value.trim().parse().ok();
        match key {
            "throttled_usec" => Some(Duration::from_micros(value()?)),
            "throttled_time" => Some(Duration::from_nanos(value()?)),
            _ => None,
        }
    })
}

/// The sum of `cpu*/thermal_throttle/*_throttle_count`; `None` where there are none.
fn thermal_events(cpus: &Path) -> Option<u64> {
    let mut sum: Option<u64> = None;
    for cpu in fs::read_dir(cpus).ok()?.filter_map(Result::ok) {
        let Ok(counters) = fs::read_dir(cpu.path().join("thermal_throttle")) else { continue };
        for counter in counters.filter_map(Result::ok) {
            if counter.file_name().to_string_lossy().ends_with("_throttle_count")
                && let Ok(count) = text(&counter.path()).trim().parse::<u64>()
            {
                sum = Some(sum.unwrap_or_default().saturating_add(count));
            }
        }
    }
    sum
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stolen_time_is_a_share_of_all_time_and_guests_count_once() {
        let text = "cpu  100 10 50 800 20 5 5 10 90 9\ncpu0 100 10 50 800 20 5 5 10 90 9\nintr 1 2\n";
        assert_eq!(cpu_time(text), Some(CpuTime { all: 1_000, stolen: 10 }));
        // A kernel before 2.6.11 has no such field.
        assert_eq!(cpu_time("cpu  100 10 50 800 20 5 5\n"), None);
        assert_eq!(cpu_time(""), None);

        let at = |all, stolen| Counters { cpu: Some(CpuTime { all, stolen }), ..Counters::default() };
        assert_eq!(at(2_000, 110).since(&at(1_000, 10)).steal, Some(0.1));
        assert_eq!(at(1_000, 10).since(&at(1_000, 10)).steal, None, "no time went by");
        assert_eq!(at(1_000, 10).since(&Counters::default()).steal, None);
    }

    #[test]
    fn both_versions_of_control_groups_tell_how_long_a_quota_held_up() {
        let v2 = "usage_usec 9\nnr_periods 5\nnr_throttled 2\nthrottled_usec 1500000\n";
        assert_eq!(throttled_time(v2), Some(Duration::from_millis(1_500)));
        let v1 = "nr_periods 5\nnr_throttled 2\nthrottled_time 1500000000\n";
        assert_eq!(throttled_time(v1), Some(Duration::from_millis(1_500)));
        assert_eq!(throttled_time("usage_usec 9\n"), None, "the root has no quota");
        assert_eq!(throttled_time("throttled_usec much\n"), None);

        let at = |own, above| Counters {
            throttled: [("/a/b", own), ("/a", above)]
                .map(|(path, seconds)| (PathBuf::from(path), Duration::from_secs(seconds)))
                .to_vec(),
            ..Counters::default()
        };
        assert_eq!(at(7, 9).since(&at(7, 4)).throttled, Some(Duration::from_secs(5)), "the one above");
        assert_eq!(at(7, 9).since(&Counters::default()).throttled, None);
    }

    fn found(cgroup: &str, mountinfo: &str) -> Vec<String> {
        groups(cgroup, mountinfo).iter().map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn control_groups_are_found_from_the_own_one_upwards() {
        let v2 = "35 25 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(
            found("0::/user.slice/session-1.scope\n", v2),
            ["/sys/fs/cgroup/user.slice/session-1.scope", "/sys/fs/cgroup/user.slice", "/sys/fs/cgroup/"]
        );
        assert_eq!(found("0::/\n", v2), ["/sys/fs/cgroup/"]);
        assert_eq!(found("0::/../other\n", v2), ["/sys/fs/cgroup/"], "outside of the namespace");

        let v1 = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
                  33 31 0:30 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n\
                  32 31 0:29 /docker/abc /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                  41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let cgroup = "9:cpuset:/\n4:cpu,cpuacct:/docker/abc/inner\n0::/\n";
        assert_eq!(found(cgroup, v1), ["/sys/fs/cgroup/cpu,cpuacct/inner", "/sys/fs/cgroup/cpu,cpuacct/"]);
        assert!(found("", v1).is_empty() && found(cgroup, "").is_empty());
        let odd = "35 25 0:30 / /mnt/my\\040groups rw - cgroup2 none rw\n";
        assert_eq!(found("0::/\n", odd), ["/mnt/my groups/"]);
    }

    #[test]
    fn counters_of_temperature_are_added_up_and_may_be_missing() {
        let cpus = tempfile::tempdir().expect("a directory");
        assert_eq!(thermal_events(cpus.path()), None);
        for (cpu, name, count) in [
            ("cpu0", "core_throttle_count", "3\n"),
            ("cpu0", "package_throttle_count", "4\n"),
            ("cpu0", "core_throttle_total_time_ms", "900\n"),
            ("cpu1", "core_throttle_count", "5\n"),
        ] {
            let directory = cpus.path().join(cpu).join("thermal_throttle");
            fs::create_dir_all(&directory).expect("a directory");
            fs::write(directory.join(name), count).expect("writes");
        }
        fs::create_dir(cpus.path().join("cpuidle")).expect("a directory");
        assert_eq!(thermal_events(cpus.path()), Some(12));
    }

    #[test]
    fn a_disturbance_is_told_from_its_limit_on() {
        let steal = |share| Disturbance { steal: Some(share), ..Disturbance::default() }.reason(10.0);
        assert_eq!(steal(0.05), None);
        assert_eq!(steal(0.072).as_deref(), Some("the hypervisor gave 7.2 % of the CPU time to others"));
        let held = |millis| {
            let throttled = Some(Duration::from_millis(millis));
            Disturbance { throttled, ..Disturbance::default() }.reason(10.0)
        };
        assert_eq!(held(100), None);
        assert_eq!(held(1_100).as_deref(), Some("a CPU quota held processes up for 1.1 s in 10.0 s"));
        let hot = Disturbance { thermal: Some(1), steal: Some(0.5), throttled: None };
        let reason = hot.reason(10.0).expect("disturbed");
        assert!(reason.contains("50.0 %") && reason.contains("temperature"), "{reason}");
        assert_eq!(Disturbance { thermal: Some(0), ..hot }.reason(10.0), steal(0.5));
        assert_eq!(Disturbance::default().reason(10.0), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_is_watched() {
        let watch = Watch::start();
        // Until the counters, which count in ticks, have moved.
        let began = watch.counters.cpu.expect("Linux tells");
        let until = std::time::Instant::now() + Duration::from_secs(10);
        while Counters::read().cpu.is_none_or(|now| now.all <= began.all) {
            assert!(std::time::Instant::now() < until, "time stands still");
            std::thread::yield_now();
        }
        let steal = watch.stop().steal.expect("known");
        assert!((0.0..=1.0).contains(&steal), "{steal}");
    }
}
