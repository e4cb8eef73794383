//! The report as a page: one file with its plots in it, which needs no other file and no other host.

use std::fmt::{self, Write};

use plotters::prelude::*;

use super::report::{Point, Report, Spread};
use super::summary::{options, summary};

const SIZE: (u32, u32) = (860, 320);
const INK: RGBColor = RGBColor(0x33, 0x3d, 0x47);
const GRID: RGBColor = RGBColor(0xe4, 0xe8, 0xec);
const COLOURS: [RGBColor; 3] = [
    RGBColor(0x1f, 0x6f, 0xb2),
    RGBColor(0xd9, 0x7a, 0x1e),
    RGBColor(0x3a, 0x8f, 0x52),
];
const STYLE: &str = "\
body{font:15px/1.5 system-ui,sans-serif;color:#222;max-width:880px;margin:2em auto;padding:0 1em}\
h1{font-size:1.5em;margin-bottom:0}h2{font-size:1.1em;margin:2em 0 .3em}\
.verdict{padding:.6em 1em;border-radius:6px;color:#fff;font-weight:600}.kept{background:#2f7d46}.broken{background:#b3261e}\
pre{background:#f6f8fa;padding:1em;border-radius:6px;overflow-x:auto;font-size:13px}svg{width:100%;height:auto}\
dt{font-weight:600;float:left;clear:left;width:8em}dd{margin-left:8.5em}.note{color:#666}";

/// A line of a plot: its name, and its points.
type Line<'a> = (&'a str, Vec<(f64, f64)>);

/// Writes the report as HTML.
pub fn page(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut out, report);
    out
}

fn write(out: &mut String, report: &Report) -> fmt::Result {
    let machine = &report.machine;
    let began = i64::try_from(report.began_ms).unwrap_or(i64::MAX);
    let began = jiff::Timestamp::from_millisecond(began);
    let began = began.map_or_else(|_| "?".into(), |began| began.to_string());
    let class = if report.kept { "kept" } else { "broken" };
    writeln!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>yizhan load {mode}</title>\
         <style>{STYLE}</style></head><body>\n<h1>yizhan load {mode}</h1>\n<p>{options}</p>\n\
         <p class=\"verdict {class}\">{verdict}</p>",
        mode = report.mode,
        options = escaped(&options(&report.options)),
        verdict = escaped(&report.verdict),
    )?;
    section(
        out,
        "Latency",
        "Percentiles; each line to the right has ten times fewer messages above it.",
        &latency(report),
    )?;
    section(
        out,
        "Rate",
        "Messages in a second, since the run began.",
        &rates(report),
    )?;
    let slowest = line(&report.series, |point| {
        Some(point.loop_p99_us / 1e3).filter(|ms| *ms > 0.0)
    });
    let slowest = plot(&[("p99 of full loops", slowest)], "ms");
    section(
        out,
        "Latency over time",
        "The 99th percentile of the full loops that closed between two looks.",
        &slowest,
    )?;
    let memory = line(&report.series, |point| point.server_rss_mb);
    section(
        out,
        "Server memory",
        "Resident memory of the server's process.",
        &plot(&[("RSS", memory)], "MB"),
    )?;
    let disk = line(&report.series, |point| point.server_disk_mb);
    section(
        out,
        "Server disk",
        "Blocks of all files below the server's directory.",
        &plot(&[("disk", disk)], "MB"),
    )?;
    let connected = line(&report.series, |point| Some(point.connected as f64));
    section(
        out,
        "Connections",
        "Clients that are logged in.",
        &plot(&[("connected", connected)], ""),
    )?;
    writeln!(
        out,
        "<h2>Summary</h2>\n<pre>{}</pre>",
        escaped(&summary(report))
    )?;
    writeln!(
        out,
        "<h2>Method</h2>\n<p>Every time is taken by the client, from writing a message (in the mode <code>rate</code>: from \
         when it was due) to reading the frame that answers it. <em>Accept</em> ends with the server's word that the message is \
         durable, <em>delivery</em> with the first copy at a device of the reader, <em>full loop</em> with the receipt of the last \
         device at the sender. Percentiles are of HdrHistogram, with three digits. The client keeps a ledger of every message at \
         every device, and waits for what was sent before it judges.</p>\n\
         <dl><dt>server</dt><dd>{server}</dd><dt>run</dt><dd>{run}, begun at {began}, by yizhan {version}</dd>\
         <dt>machine</dt><dd>{cpu}, {cores} cores, {memory} MB, Linux {kernel}; it is the client's, and the server's as well if \
         that is on a loopback address: then both share it</dd></dl>\n</body></html>",
        server = escaped(&report.server),
        run = report.run,
        version = report.version,
        cpu = escaped(&machine.cpu),
        cores = machine.cores,
        memory = machine.memory_mb,
        kernel = escaped(&machine.kernel),
    )
}

/// A plot under its heading; nothing if there is nothing to plot.
fn section(out: &mut String, heading: &str, note: &str, plot: &str) -> fmt::Result {
    match plot.is_empty() {
        true => Ok(()),
        false => writeln!(
            out,
            "<h2>{heading}</h2>\n<p class=\"note\">{note}</p>\n{plot}"
        ),
    }
}

fn rates(report: &Report) -> String {
    let series = &report.series;
    let lines = [
        ("accepted", line(series, |point| Some(point.accepted_per_s))),
        (
            "delivered",
            line(series, |point| Some(point.delivered_per_s)),
        ),
        ("full loops", line(series, |point| Some(point.loops_per_s))),
    ];
    plot(&lines, "/s")
}

fn line(series: &[Point], of: impl Fn(&Point) -> Option<f64>) -> Vec<(f64, f64)> {
    let points = series.iter();
    points
        .filter_map(|point| Some((point.at_s, of(point)?)))
        .collect()
}

/// Percentiles on an axis on which 90, 99, 99.9 and so on are equally far apart.
fn latency(report: &Report) -> String {
    let nines = |percentile: f64| -((100.0 - percentile).max(1e-6) / 100.0).log10();
    let curve = |spread: &Spread| -> Vec<(f64, f64)> {
        let points = spread.curve.iter();
        points
            .map(|&(percentile, us)| (nines(percentile).min(5.0), us / 1e3))
            .collect()
    };
    let latency = &report.latency;
    let lines = [
        ("accept", curve(&latency.accept)),
        ("delivery", curve(&latency.delivery)),
        ("full loop", curve(&latency.full_loop)),
    ];
    drawn(&lines, "ms", &|nines: &f64| match nines {
        0.0 => "0".into(),
        nines => {
            let digits = (nines.round() as usize).saturating_sub(2);
            format!("{:.digits$} %", 100.0 - 10_f64.powf(2.0 - nines))
        }
    })
}

/// A plot over seconds.
fn plot(lines: &[Line<'_>], unit: &str) -> String {
    drawn(lines, unit, &|seconds: &f64| {
        format!("{} s", round(*seconds))
    })
}

fn drawn(lines: &[Line<'_>], unit: &str, below: &dyn Fn(&f64) -> String) -> String {
    let mut svg = String::new();
    let lines: Vec<_> = lines
        .iter()
        .filter(|(_, points)| points.len() > 1)
        .collect();
    if lines.is_empty() {
        return svg;
    }
    // Drawing into a string fails for no reason that a report could do anything about.
    let _ = draw(&mut svg, &lines, unit, below);
    svg
}

type Drawn = Result<(), DrawingAreaErrorKind<<SVGBackend<'static> as DrawingBackend>::ErrorType>>;

fn draw(
    svg: &mut String,
    lines: &[&Line<'_>],
    unit: &str,
    below: &dyn Fn(&f64) -> String,
) -> Drawn {
    let points = || lines.iter().flat_map(|(_, points)| points);
    let most = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(0.0, f64::max);
    let (width, height) = (most(|point| point.0), most(|point| point.1));
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    let mut chart = ChartBuilder::on(&area)
        .margin(10)
        .margin_right(40)
        .x_label_area_size(30)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..width.max(1e-9), 0.0..(height * 1.05).max(1e-9))?;
    let text = ("sans-serif", 13).into_font().color(&INK);
    chart
        .configure_mesh()
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .axis_style(INK)
        .label_style(text.clone())
        .x_labels(10)
        .y_labels(6)
        .x_label_formatter(&below)
        .y_label_formatter(&|value| format!("{} {unit}", round(*value)))
        .draw()?;
    for ((name, points), colour) in lines.iter().zip(COLOURS) {
        chart
            .draw_series(LineSeries::new(
                points.iter().copied(),
                colour.stroke_width(2),
            ))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.85))
        .border_style(GRID)
        .label_font(text)
        .draw()?;
    area.present()
}

/// As few digits as tell the values of an axis apart.
fn round(value: f64) -> String {
    let digits = match value.abs() {
        0.0 => 0,
        small @ 0.0..10.0 if small.fract() != 0.0 => 2,
        middle @ 10.0..100.0 if middle.fract() != 0.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$}")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
