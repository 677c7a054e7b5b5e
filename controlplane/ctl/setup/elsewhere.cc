// SPDX-License-Identifier: Apache-2.0
#include "controlplane/ctl/setup/elsewhere.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <sstream>
#include <vector>

#include "controlplane/ctl/setup/drop_ins.h"
#include "controlplane/ctl/setup/own_file.h"

namespace sluice::ctl {

namespace {

constexpr std::string_view kPages = "vm.nr_hugepages";

std::string trimmed(const std::string& text) {
  const size_t first = text.find_first_not_of(" \t");
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

/// The last value that lines of sysctl give a name: "-net/ipv4/ip_forward = 1".
std::optional<std::string> value_in_sysctl(const std::string& text, const std::string& name) {
  std::optional<std::string> out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const size_t equals = line.find('=');
    std::string key = trimmed(line.substr(0, equals));
    if (equals == std::string::npos || key.starts_with('#') || key.starts_with(';')) continue;
    if (key.starts_with('-')) key = trimmed(key.substr(1));
    if (plain_name(key) == name) out = trimmed(line.substr(equals + 1));
  }
  return out;
}

/// The values of a word of the kernel's command line, in a line of it or in a file of GRUB's.
std::vector<std::string> values_in_boot(std::string text, const std::string& name) {
  std::ranges::replace(text, '"', ' ');
  std::vector<std::string> out;
  std::istringstream words(text);
  for (std::string word; words >> word;)
    if (word.starts_with(name + "=")) out.push_back(word.substr(name.size() + 1));
  return out;
}

std::optional<std::string> value_in(const std::string& body, const Remedy& remedy) {
  if (remedy.kind == Remedy::Kind::kSysctl) return value_in_sysctl(body, plain_name(remedy.name));
  const auto values = values_in_boot(body, remedy.name);
  return values.empty() ? std::nullopt : std::optional(values.back());
}

bool is_count(const std::string& name) {
  return name == kPages || name.find(".gc_thresh") != std::string::npos;
}

uint64_t number_of(const std::string& text) {
  uint64_t out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

/// Whether a value that is kept does for the one that is wanted.
bool does_for(const std::string& kept, const Remedy& remedy) {
  return is_count(remedy.name) ? number_of(kept) >= number_of(remedy.value) : kept == remedy.value;
}

/// What setup has written for another instance.
struct Other {
  std::string instance;
  std::string path;
  std::string value;
};
std::vector<Other> others_of(const Machine& machine, const std::string& instance, const Remedy& remedy) {
  const std::string sample = drop_in_of(remedy.kind, "*").path;
  const size_t name_at = sample.rfind('/') + 1;
  const std::string head = sample.substr(name_at, sample.find('*') - name_at);
  const std::string tail = sample.substr(sample.find('*') + 1);
  std::vector<Other> out;
  for (const std::string& entry : machine.entries(sample.substr(0, name_at))) {
    if (!entry.starts_with(head) || !entry.ends_with(tail) || entry.size() <= head.size() + tail.size()) continue;
    const std::string other = entry.substr(head.size(), entry.size() - head.size() - tail.size());
    const std::string path = sample.substr(0, name_at) + entry;
    const Found found = find_own(machine, path, other);
    if (other == instance || found.owner != Owner::kSetup) continue;
    if (auto value = value_in(found.body, remedy)) out.push_back({other, path, std::move(*value)});
  }
  return out;
}

/// What files that are not of setup, or the kernel's command line, give a setting when the machine starts.
std::optional<std::string> kept_by_others(const Machine& machine, const Remedy& remedy) {
  const std::string name = plain_name(remedy.name);
  const std::string command_line = machine.text("/proc/cmdline").value_or("");
  std::optional<std::string> out;
  const auto take = [&](std::optional<std::string> value) {
    if (value) out = std::move(value);
  };
  const auto words = values_in_boot(command_line, name == kPages ? "hugepages" : "sysctl." + name);
  if (!words.empty()) out = words.back();
  // sysctl.d(5): by name, and one name in several directories is the file of the last of these.
  std::map<std::string, std::string> files;
  for (const std::string directory :
       {"/usr/lib/sysctl.d/", "/usr/local/lib/sysctl.d/", "/run/sysctl.d/", "/etc/sysctl.d/"})
    for (const std::string& entry : machine.entries(directory))
      if (entry.ends_with(".conf")) files[entry] = directory + entry;
  files["99-sysctl.conf"] = "/etc/sysctl.conf";
  for (const auto& [entry, path] : files) {
    const std::string text = machine.text(path).value_or("");
    if (!is_of_setup(text)) take(value_in_sysctl(text, name));
  }
  return out;
}

/// Whether a data plane runs that was started with that instance's file.
bool runs(const Machine& machine, const std::string& instance) {
  return std::ranges::any_of(machine.processes(), [&](const Process& process) {
    return process.name == "sluice-dataplane" && process.command.find("/" + instance + ".cfg") != std::string::npos;
  });
}

Settled settle_sysctl(const Machine& machine, const std::string& instance, Remedy remedy, bool is_well) {
  const std::string path = drop_in_of(remedy.kind, instance).path;
  const auto own = value_in(find_own(machine, path, instance).body, remedy);
  const auto kept = kept_by_others(machine, remedy);
  const auto others = others_of(machine, instance, remedy);
  Settled out;
  for (const Other& other : others)
    if (is_count(remedy.name) && number_of(other.value) > number_of(remedy.value)) remedy.value = other.value;
  for (const Other& other : others) {
    if (remedy.name == kPages && !runs(machine, other.instance))
      out.conflict =
          fmt::format("{} has pages for {}, which does not run, so that they count as free: start it, then ask again",
                      other.path, other.instance);
    else if (other.path > path && !does_for(other.value, remedy))
      out.conflict = fmt::format("{} says {}, and outweighs: after this, sluicectl setup --apply for {}, too",
                                 other.path, other.value, other.instance);
  }
  const bool is_kept = (own && does_for(*own, remedy)) || (others.empty() && kept && does_for(*kept, remedy));
  if (!is_well || !is_kept) out.remedy = std::move(remedy);
  return out;
}

Settled settle_boot(const Machine& machine, const std::string& instance, const Remedy& remedy) {
  const auto own = value_in(find_own(machine, drop_in_of(remedy.kind, instance).path, instance).body, remedy);
  for (const Other& other : others_of(machine, instance, remedy))
    if (other.value != remedy.value)
      return {{},
              fmt::format("{} says {}={}: one word for both, {}={} with it, is to be written into /etc/default/grub",
                          other.path, remedy.name, other.value, remedy.name, remedy.value)};
  for (const std::string file : {"/proc/cmdline", "/etc/default/grub"})
    for (const std::string& value : values_in_boot(machine.text(file).value_or(""), remedy.name))
      if (value != remedy.value && value != own)
        return {{}, fmt::format("{} has {}={} already: take {} into it", file, remedy.name, value, remedy.value)};
  return {remedy, ""};
}

}  // namespace

std::string plain_name(std::string name) {
  std::ranges::replace(name, '/', '.');
  return name;
}

Settled settle(const Machine& machine, const std::string& instance, const Remedy& remedy, bool is_well) {
  if (remedy.kind == Remedy::Kind::kSysctl) return settle_sysctl(machine, instance, remedy, is_well);
  if (remedy.kind == Remedy::Kind::kBoot) return settle_boot(machine, instance, remedy);
  return {remedy, ""};
}

}  // namespace sluice::ctl
