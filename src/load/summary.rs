//! The end of a run, as a person reads it in a terminal.

use std::fmt::{self, Write};

use serde_json::Value;

use super::report::{Report, Spread};

/// Writes what was found out as a table.
pub fn summary(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut out, report);
    out
}

fn write(out: &mut String, report: &Report) -> fmt::Result {
    let Report {
        measured,
        counts,
        rates,
        latency,
        ..
    } = report;
    writeln!(
        out,
        "{} against {}, run {}",
        report.mode, report.server, report.run
    )?;
    writeln!(out, "  {}", options(&report.options))?;
    writeln!(out)?;
    writeln!(
        out,
        "measured {:.1} s    {:>12} {:>14}",
        report.measured_s, "in all", "each second"
    )?;
    let mut row =
        |name: &str, count: u64, rate: f64| writeln!(out, "  {name:<16} {count:>12} {rate:>14.0}");
    row("accepted", measured.accepted, rates.accepted_per_s)?;
    row("delivered", measured.delivered, rates.delivered_per_s)?;
    row("full loops", measured.loops, rates.loops_per_s)?;
    writeln!(out)?;
    let timed = [
        ("accept", &latency.accept),
        ("delivery", &latency.delivery),
        ("full loop", &latency.full_loop),
    ];
    let timed = timed.iter().filter(|(_, spread)| spread.count > 0);
    if timed.clone().count() > 0 {
        writeln!(
            out,
            "milliseconds      {:>9} {:>9} {:>9} {:>9} {:>9} {:>10}",
            "p50", "p90", "p99", "p99.9", "max", "timed"
        )?;
        for (name, times) in timed {
            spread(out, name, times)?;
        }
        writeln!(out)?;
    }
    let usage = &report.server_usage;
    if let Some(cpu) = usage.cpu_ms_per_1000_messages {
        writeln!(out, "server processor time  {cpu:.1} ms for 1,000 messages")?;
    }
    if let Some(peak) = usage.rss_peak_mb {
        let at = |mb: Option<f64>| mb.map_or("?".into(), |mb| format!("{mb:.1}"));
        writeln!(
            out,
            "server memory          {} MB at the beginning, {} at the end, {peak:.1} at most",
            at(usage.rss_begin_mb),
            at(usage.rss_end_mb)
        )?;
    }
    if let (Some(begin), Some(end)) = (usage.disk_begin_mb, usage.disk_end_mb) {
        writeln!(
            out,
            "server disk            {begin:.1} MB at the beginning, {end:.1} at the end"
        )?;
    }
    if let Some(cpu) = report.client_cpu_us_per_message {
        writeln!(out, "client processor time  {cpu:.1} µs for each message")?;
    }
    writeln!(
        out,
        "in all                 {} sent, {} accepted, {} delivered, {} confirmed; {} logins, {} connections lost",
        counts.sent,
        counts.accepted,
        counts.delivered,
        counts.confirmed,
        counts.logins,
        counts.connections_lost
    )?;
    writeln!(
        out,
        "sent again             {} messages, {} acknowledgements; {} copies came again before their ack was confirmed",
        counts.resent, counts.acks_repeated, counts.repeated_copies
    )?;
    if counts.leftovers > 0 {
        writeln!(out, "left from before       {} copies", counts.leftovers)?;
    }
    for (code, count) in &report.errors {
        writeln!(out, "refused with {code}       {count}")?;
    }
    if let Some(detail) = &report.detail {
        writeln!(out)?;
        lines(out, detail, 0)?;
    }
    writeln!(out)?;
    for (name, finding) in report.proof.findings() {
        if finding.count > 0 {
            writeln!(out, "{name}: {}", finding.count)?;
            for id in &finding.ids {
                writeln!(out, "  {id}")?;
            }
        }
    }
    writeln!(out, "{}", report.verdict)
}

/// `name value`, separated by commas.
pub(super) fn options(options: &Value) -> String {
    let Value::Object(options) = options else {
        return String::new();
    };
    let each = options
        .iter()
        .map(|(name, value)| format!("{} {value}", words(name)));
    each.collect::<Vec<_>>().join(", ")
}

fn spread(out: &mut String, name: &str, spread: &Spread) -> fmt::Result {
    let ms = |us: f64| us / 1e3;
    writeln!(
        out,
        "  {name:<16}{:>9.3} {:>9.3} {:>9.3} {:>9.3} {:>9.3} {:>10}",
        ms(spread.p50_us),
        ms(spread.p90_us),
        ms(spread.p99_us),
        ms(spread.p99_9_us),
        ms(spread.max_us),
        spread.count
    )
}

/// What only one mode finds out, a line for each number.
fn lines(out: &mut String, detail: &Value, depth: usize) -> fmt::Result {
    let indent = "  ".repeat(depth);
    let Value::Object(members) = detail else {
        return writeln!(out, "{indent}{detail}");
    };
    for (name, value) in members {
        let name = words(name);
        match value {
            Value::Array(items) if items.iter().all(Value::is_object) => {
                for (at, item) in items.iter().enumerate() {
                    writeln!(out, "{indent}{name} {}: {}", at + 1, options(item))?;
                }
            }
            Value::Object(_) => {
                writeln!(out, "{indent}{name}")?;
                lines(out, value, depth + 1)?;
            }
            Value::Number(number) if number.is_f64() => {
                let number = number.as_f64().unwrap_or_default();
                writeln!(out, "{indent}{name:<36} {number:>12.2}")?;
            }
            _ => writeln!(out, "{indent}{name:<36} {value:>12}")?,
        }
    }
    Ok(())
}

fn words(name: &str) -> String {
    name.replace('_', " ")
}
