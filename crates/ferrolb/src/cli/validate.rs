//! `ferrolb validate`: every problem of a set of resources, the one that decides first.

use anyhow::bail;
use api::parse::{Role, View, parse};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::manifests::{Manifests, Purpose};
use super::output::{Finding, Paint, counted, json};
use super::{FilesArgs, Format, exit, input, manifests, print};

#[derive(Debug, Args)]
pub(super) struct ValidateArgs {
    #[command(flatten)]
    files: FilesArgs,
    /// How to print the verdict
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    /// Take unknown fields for errors, not for warnings
    #[arg(long)]
    strict: bool,
    /// Judge as the speaker of this node does: peers and BGP advertisements of other nodes do not exist
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Judge as this component does
    #[arg(long, value_enum)]
    role: Option<Component>,
    /// The namespace that FerroLB runs in and reads its resources from
    #[arg(long, default_value = super::plan::DEFAULT_NAMESPACE)]
    namespace: String,
    /// Passwords are passed on by reference: Secrets are not looked at
    #[arg(long)]
    secret_passthrough: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Component {
    /// Pools, communities and namespaces alone
    Controller,
    /// Everything that concerns the node given by --node
    Speaker,
}

#[derive(Debug, Serialize)]
struct Report {
    valid: bool,
    errors: Vec<Finding>,
    warnings: Vec<Finding>,
}

pub(super) fn run(args: &ValidateArgs) -> anyhow::Result<u8> {
    let role = role(args)?;
    let objects = input::read(&args.files)?;
    let mut manifests = manifests::read(objects, Purpose::Judge { strict: args.strict })?;
    if let Role::Speaker { node } = &role
        && !manifests.objects.nodes.iter().any(|it| it.name == *node)
    {
        bail!("--node {node}: there is no Node of this name in the input");
    }
    let view = View { role, namespace: args.namespace.clone(), secret_passthrough: args.secret_passthrough };
    let parsed = parse(std::mem::take(&mut manifests.objects), &view);
    let mut errors = std::mem::take(&mut manifests.errors);
    errors.extend(parsed.problems.iter().map(Finding::from));
    let mut warnings = std::mem::take(&mut manifests.warnings);
    warnings.extend(parsed.warnings.iter().map(Finding::from));

    let report = Report { valid: errors.is_empty(), errors, warnings };
    match args.output {
        Format::Json => print(&json(&report)?)?,
        Format::Table => print(&text(&report, &manifests))?,
    }
    Ok(if report.valid { 0 } else { exit::INVALID })
}

fn role(args: &ValidateArgs) -> anyhow::Result<Role> {
    match (args.role, &args.node) {
        (Some(Component::Controller), Some(_)) => {
            bail!("--node is for speakers: the controller runs on no node")
        }
        (Some(Component::Controller), None) => Ok(Role::Controller),
        (Some(Component::Speaker), None) => bail!("--role speaker needs --node: every speaker is on one"),
        (_, Some(node)) => Ok(Role::Speaker { node: node.clone() }),
        (None, None) => Ok(Role::Everything),
    }
}

fn text(report: &Report, manifests: &Manifests) -> String {
    let paint = Paint::for_stdout();
    let mut text = String::new();
    for (findings, label) in
        [(&report.errors, paint.red("error")), (&report.warnings, paint.yellow("warning"))]
    {
        for finding in findings {
            let origin = manifests.origins.get(&finding.subject);
            let origin = origin.map(|origin| format!("  ({origin})")).unwrap_or_default();
            let message = finding.message.replace('\n', "\n         ");
            let subject = paint.bold(&finding.subject.to_string());
            let field = Some(&finding.field).filter(|field| !field.is_empty());
            let field = field.map(|field| format!(" {field}")).unwrap_or_default();
            text.push_str(&format!("{label}: {subject}{field}{origin}\n         {message}\n"));
        }
    }
    let verdict = if report.valid { paint.green("valid") } else { paint.red("invalid") };
    let errors = counted(report.errors.len(), "error");
    let warnings = counted(report.warnings.len(), "warning");
    let objects = counted(manifests.count, "resource");
    text.push_str(&format!("{verdict}: {errors} and {warnings} in {objects}"));
    if !manifests.ignored.is_empty() {
        let kinds: Vec<&str> = manifests.ignored.keys().map(String::as_str).collect();
        let count = counted(manifests.ignored.values().sum(), "object");
        text.push_str(&format!("; {count} of other kinds not looked at ({})", kinds.join(", ")));
    }
    text.push('\n');
    text
}
