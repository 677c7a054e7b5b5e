// SPDX-License-Identifier: Apache-2.0
//
// The files of an instance that remedies go to, each in the words of who reads it when the machine starts:
// systemd-sysctl, systemd-modules-load, GRUB, and the units of the two processes.
#pragma once

#include <array>
#include <string>

#include "controlplane/ctl/doctor/remedy.h"

namespace sluice::ctl {

/// In the order in which they are shown and written.
inline constexpr std::array kDropIns{Remedy::Kind::kSysctl, Remedy::Kind::kModule, Remedy::Kind::kDriver,
                                     Remedy::Kind::kControlUnit, Remedy::Kind::kBoot};

struct DropIn {
  std::string path;
  std::string head;   // a line above all others, such as "[Service]"; "" = none
  std::string apply;  // the command that makes the machine follow it; "" = only a reboot does
};
DropIn drop_in_of(Remedy::Kind kind, const std::string& instance);

struct Line {
  std::string key;  // how the line begins, up to a value, if it has one: up to "=" or a blank
  std::string text;
};
Line line_of(const Remedy& remedy);

/// The name of the setting in a line of a file of that kind.
std::string name_in(const std::string& line, Remedy::Kind kind);

/// Whether `text` says the same thing as lines with that key, with whatever value.
bool has_key(const std::string& text, const std::string& key);

}  // namespace sluice::ctl
