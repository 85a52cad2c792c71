//! What the system knows of this process, for INFO.
//!
//! Owns: reading Linux's /proc about oneself, and how often. Must not: cost an idle node anything: it is asked for only while clients are
//! served.

use std::fs;

use crate::session::Usage;
use crate::types::Millis;

/// Measured at most this often.
const PERIOD: Millis = 1000;

/// When to measure again.
#[derive(Debug, Default)]
pub struct Meter {
    /// Mono ms.
    next: Millis,
}

impl Meter {
    /// A new measurement, if one is due.
    pub fn measure(&mut self, now: Millis) -> Option<Usage> {
        if now < self.next {
            return None;
        }
        self.next = now + PERIOD;
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let machine = rustix::system::sysinfo();
        let (user, system) = cpu_ticks(&stat);
        let us = |ticks: u64| ticks.saturating_mul(1_000_000) / rustix::param::clock_ticks_per_second().max(1);
        Some(Usage {
            resident_bytes: kilobytes(&status, "VmRSS:"),
            system_bytes: machine.totalram.saturating_mul(u64::from(machine.mem_unit)),
            cpu_sys_us: us(system),
            cpu_user_us: us(user),
        })
    }
}

/// Resident memory now.
pub fn resident_bytes() -> u64 {
    kilobytes(&fs::read_to_string("/proc/self/status").unwrap_or_default(), "VmRSS:")
}

/// A line of /proc/self/status, in bytes; 0 if it is not there.
fn kilobytes(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.split_ascii_whitespace().next()).and_then(|number| number.parse::<u64>().ok());
    number.unwrap_or(0).saturating_mul(1024)
}

/// User and system time of /proc/self/stat: fields 14 and 15, counted behind the program's name, which may hold anything.
fn cpu_ticks(stat: &str) -> (u64, u64) {
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut ticks = fields.split_ascii_whitespace().skip(11).map(|field| field.parse().unwrap_or(0));
    (ticks.next().unwrap_or(0), ticks.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_this_process_once_a_period() {
        let mut meter = Meter::default();
        let usage = meter.measure(5000).unwrap();
        assert!(usage.resident_bytes > 100_000 && usage.system_bytes > usage.resident_bytes);
        assert_eq!(meter.measure(5999), None);
        assert!(meter.measure(6000).is_some());
    }

    #[test]
    fn odd_names_do_not_shift_the_fields() {
        let stat = "7 (a) b (c) R 1 2 3 4 5 6 7 8 9 10 300 400 0 0";
        assert_eq!(cpu_ticks(stat), (300, 400));
        assert_eq!((cpu_ticks(""), kilobytes("VmRSS:\t 12 kB", "VmRSS:"), kilobytes("", "VmRSS:")), ((0, 0), 12288, 0));
    }
}
