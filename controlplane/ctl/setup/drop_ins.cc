// SPDX-License-Identifier: Apache-2.0
#include "controlplane/ctl/setup/drop_ins.h"

#include <fmt/format.h>

#include "controlplane/ctl/setup/places.h"

namespace sluice::ctl {

namespace {

std::string unit_drop_in(const std::string& unit, const std::string& instance) {
  return fmt::format("/etc/systemd/system/{}@{}.service.d/50-setup.conf", unit, instance);
}

std::string restart(const std::string& unit, const std::string& instance) {
  return fmt::format("systemctl daemon-reload && systemctl restart {}@{}", unit, instance);
}

}  // namespace

DropIn drop_in_of(Remedy::Kind kind, const std::string& instance) {
  switch (kind) {
    case Remedy::Kind::kSysctl: {
      // Before 99-sysctl.conf, which is /etc/sysctl.conf: what the operator says there outweighs.
      const std::string path = fmt::format("/etc/sysctl.d/60-sluice-{}.conf", instance);
      return {path, "", "sysctl -p " + path};
    }
    case Remedy::Kind::kModule:
      return {fmt::format("/etc/modules-load.d/sluice-{}.conf", instance), "",
              "systemctl restart systemd-modules-load"};
    case Remedy::Kind::kDriver:
      return {unit_drop_in("sluice-dataplane", instance), "[Service]", restart("sluice-dataplane", instance)};
    case Remedy::Kind::kControlUnit:
      return {unit_drop_in("sluice-control", instance), "[Service]", restart("sluice-control", instance)};
    case Remedy::Kind::kBoot:
      break;
  }
  return {fmt::format("/etc/default/grub.d/60-sluice-{}.cfg", instance), "", ""};
}

Line line_of(const Remedy& remedy) {
  switch (remedy.kind) {
    case Remedy::Kind::kSysctl: {
      // A twin is not there yet when the machine starts: no reason to complain. udev asks for it again when it is.
      const bool may_be_absent = remedy.name.starts_with("net/ipv4/conf/");
      const std::string key = fmt::format("{}{} = ", may_be_absent ? "-" : "", remedy.name);
      return {key, key + remedy.value};
    }
    case Remedy::Kind::kModule:
      return {remedy.name, remedy.name};
    case Remedy::Kind::kDriver: {
      const std::string key = fmt::format("ExecStartPre=+{} {} ", kBindCard, remedy.name);
      return {key, key + remedy.value};
    }
    case Remedy::Kind::kControlUnit: {
      const std::string key = remedy.name + "=";
      return {key, key + remedy.value};
    }
    case Remedy::Kind::kBoot:
      break;
  }
  const std::string key = fmt::format("GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX {}=", remedy.name);
  return {key, key + remedy.value + "\""};
}

std::string name_in(const std::string& line, Remedy::Kind kind) {
  // What stands before a name in such a line, with any name.
  const std::string before = line_of({kind, "*", ""}).key;
  const size_t start = line.starts_with('-')                                  ? 1
                       : line.starts_with(before.substr(0, before.find('*'))) ? before.find('*')
                                                                              : 0;
  return line.substr(start, line.find_first_of(" =", start) - start);
}

bool has_key(const std::string& text, const std::string& key) {
  return text == key || ((key.ends_with('=') || key.ends_with(' ')) && text.starts_with(key));
}

}  // namespace sluice::ctl
