// SPDX-License-Identifier: GPL-2.0

//! `dispatchctl down`.

use crate::failure::{Context, Failure};
use crate::plumbing::{default_of, kernels_local_rule, list, Devices, Found, DEVICES};
use crate::rtnetlink::{Rtnetlink, OURS};
use nix::errno::Errno;
use tcp_dispatch_netlink::{Client, Error, NetSettings, Prefix};

/// Takes away what `up` set up and returns what there is to show.
pub fn run(force: bool) -> Result<String, Failure> {
    let mut client = match Client::connect() {
        // What is left of a module that was unloaded can still be taken away.
        Err(Error::NotLoaded) => None,
        other => Some(other.doing(|| "reach the module tcp_dispatch".to_owned())?),
    };
    let ranges: Vec<_> = match &mut client {
        Some(client) => {
            if force {
                remove_services(client)?;
            } else {
                refuse_if_in_use(client)?;
            }
            client
                .net()
                .doing(|| "read the namespace's settings".to_owned())?
                .prefixes()
                .collect()
        }
        None => Vec::new(),
    };

    let mut route = Rtnetlink::open().doing(|| "open a routing socket".to_owned())?;
    let found = Found::find(&mut route, &DEVICES, &ranges)
        .doing(|| "look for devices, routes and rules".to_owned())?;
    remove(&mut route, &DEVICES, &found)?;
    // The prefixes go last: without the routes nothing can get in any more.
    if let Some(client) = client.as_mut().filter(|_| !ranges.is_empty()) {
        let none =
            |settings: NetSettings, range: &Prefix| settings.no_process_prefix(range.family());
        client
            .set_net(&ranges.iter().fold(NetSettings::default(), none))
            .doing(|| format!("end the use of the process prefix {}", list(&ranges)))?;
    }
    Ok(String::new())
}

fn refuse_if_in_use(client: &mut Client) -> Result<(), Failure> {
    let processes = client
        .process_list(None)
        .doing(|| "list the processes".to_owned())?;
    match processes.items.as_slice() {
        [] => Ok(()),
        [process, rest @ ..] => {
            let others = match rest.len() {
                0 => String::new(),
                1 => " and another one".to_owned(),
                n => format!(" and {n} others"),
            };
            let cause = format!(
                "process {} of service {}{others} are registered",
                process.process_address, process.service_address,
            );
            let cause = if rest.is_empty() {
                cause.replace(" are registered", " is registered")
            } else {
                cause
            };
            Err(Failure::new("take the process addresses away", cause)
                .next("delete the processes first, or use `dispatchctl down --force`"))
        }
    }
}

fn remove_services(client: &mut Client) -> Result<(), Failure> {
    let services = client
        .service_list()
        .doing(|| "list the services".to_owned())?;
    for service in services.items {
        let address = service.service_address;
        match client.service_del(address) {
            // Someone else was faster.
            Err(error) if error.errno() == Some(Errno::ENOENT as i32) => {}
            other => other.doing(|| format!("delete service {address}"))?,
        }
    }
    Ok(())
}

/// Takes away the rules, the routes and the devices.
pub fn remove(route: &mut Rtnetlink, devices: &Devices, found: &Found) -> Result<(), Failure> {
    for rule in &found.rules {
        route
            .del_rule(rule)
            .doing(|| format!("delete the rule `{rule}`"))?;
    }
    // Nothing may be without its local table in between.
    for moved in found
        .local_rules
        .iter()
        .filter(|rule| rule.protocol == OURS)
    {
        let kernels = kernels_local_rule(moved.family);
        if !found.local_rules.contains(&kernels) {
            route
                .add_rule(&kernels)
                .doing(|| format!("add the rule `{kernels}`"))?;
        }
        route
            .del_rule(moved)
            .doing(|| format!("delete the rule `{moved}`"))?;
    }
    for entry in &found.routes {
        route.del_route(entry).doing(|| {
            let to = entry
                .destination
                .map_or(default_of(entry.family).to_owned(), |prefix| {
                    prefix.to_string()
                });
            format!("delete the route `{to} table {}`", entry.table)
        })?;
    }
    let port = (&devices.port, &found.port);
    let master = (&devices.master, &found.master);
    for (device, link) in [port, master] {
        let Some(link) = link else { continue };
        // A device of that name but of another kind is somebody else's.
        if link.kind.as_deref() == Some(device.kind) {
            route
                .del_link(link.index)
                .doing(|| format!("delete device {}", device.name))?;
        }
    }
    Ok(())
}
