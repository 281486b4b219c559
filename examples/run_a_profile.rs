//! Runs a profile from Rust, with reference nodes as processes:
//! `cargo run --example run_a_profile -- target/debug/steadfast quick`

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use steadfast::plan::{Overrides, Plan};
use steadfast::profile::Profile;
use steadfast::run::{Event, Folder, Runner, TrialEvent};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(program), Some(profile)) = (arguments.next(), arguments.next()) else {
        return Err("it takes the path of the program `steadfast` and the name of a profile".into());
    };
    let profile = Profile::find(&profile)?;
    // Without a Docker engine, the reference target of the same strategy replaces each real product.
    let mut stand_ins = BTreeMap::new();
    for target in profile.targets().into_iter().filter(|target| !target.is_reference()) {
        stand_ins.insert(target.name.clone(), target.stand_in()?);
    }
    let plan = Plan::new(&profile, &Overrides { stand_ins, ..Overrides::default() }, 1)?;
    let runner = Runner {
        plan: &plan,
        engines: None,
        program: Path::new(&program),
        folder: Folder::Dated,
        note: None,
        baseline: None,
    };
    let (_keep, interrupt) = tokio::sync::watch::channel(None);
    let finished = runner.run(&interrupt, &|event| {
        if let Event::Trial { target, what: TrialEvent::Fault(text), .. } = event {
            println!("{target}: {text}");
        }
    });
    let finished = finished.await?.ok_or("it was interrupted")?;
    finished.record.save_summary(&finished.summary)?;
    for target in &finished.summary.targets {
        println!("{}: {}", target.target, target.verdict);
    }
    Ok(())
}
