// SPDX-License-Identifier: Apache-2.0
//
// Members of a pool that are told in JSON. The document becomes a tree of libconfig's, so that the table of settings
// reads it as it reads the file: the same names, bounds and faults.
#include <fmt/format.h>

#include <algorithm>
#include <libconfig.h++>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>
#include <utility>

#include "config/bounds.h"
#include "config/file/findings.h"
#include "config/file/source.h"
#include "config/load.h"
#include "config/schema/rules.h"
#include "config/schema/settings.h"

namespace sluice::config {

using libconfig::Setting;
using nlohmann::json;

namespace {

constexpr int kDeepest = 8;  // a document of ours has five levels

/// What keeps a document from being read.
struct Unreadable : std::runtime_error {
  using std::runtime_error::runtime_error;
};

void add(Setting& parent, const char* name, const json& value, int depth);

void fill(Setting& group, const json& object, int depth) {
  for (const auto& [name, value] : object.items()) {
    if (name.find('*') != std::string::npos) throw Unreadable(fmt::format("\"{}\" is no name of a setting", name));
    try {
      add(group, name.c_str(), value, depth);
    } catch (const libconfig::SettingNameException&) {
      throw Unreadable(fmt::format("\"{}\" is no name of a setting", name));
    }
  }
}

Setting& make(Setting& parent, const char* name, Setting::Type type) {
  return name == nullptr ? parent.add(type) : parent.add(name, type);
}

void add_integer(Setting& parent, const char* name, int64_t value) {
  const bool is_short = value >= INT32_MIN && value <= INT32_MAX;
  if (is_short) {
    make(parent, name, Setting::TypeInt) = static_cast<int>(value);
  } else {
    make(parent, name, Setting::TypeInt64) = static_cast<long long>(value);
  }
}

/// `name`: null within a list.
void add(Setting& parent, const char* name, const json& value, int depth) {
  if (depth > kDeepest) throw Unreadable("brackets within brackets, too deep");
  if (value.is_object()) {
    fill(make(parent, name, Setting::TypeGroup), value, depth + 1);
  } else if (value.is_array()) {
    Setting& list = make(parent, name, Setting::TypeList);
    for (const json& element : value) add(list, nullptr, element, depth + 1);
  } else if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    if (text.find('\0') != std::string::npos) throw Unreadable("a string with a NUL in it");
    make(parent, name, Setting::TypeString) = text;
  } else if (value.is_boolean()) {
    make(parent, name, Setting::TypeBoolean) = value.get<bool>();
  } else if (value.is_number_integer() && (!value.is_number_unsigned() || value.get<uint64_t>() <= INT64_MAX)) {
    add_integer(parent, name, value.get<int64_t>());
  } else if (value.is_number()) {
    make(parent, name, Setting::TypeFloat) = value.get<double>();
  } else {
    throw Unreadable(fmt::format("{} null; allowed: leave it out", name == nullptr ? "an element is" : name));
  }
}

/// JSON that says each name once; nlohmann's parser would keep the last.
json parse(std::string_view text) {
  std::vector<std::set<std::string>> names;
  const auto watch = [&](int, json::parse_event_t event, json& parsed) {
    using Event = json::parse_event_t;
    if (event == Event::object_start) {
      if (names.size() > kDeepest) throw Unreadable("brackets within brackets, too deep");
      names.emplace_back();
    }
    if (event == Event::object_end) names.pop_back();
    if (event == Event::key && !names.back().insert(parsed.get<std::string>()).second)
      throw Unreadable(fmt::format("{} stands twice in one object", parsed.dump()));
    return true;
  };
  try {
    return json::parse(text, watch);
  } catch (const json::parse_error& fault) {
    throw Unreadable(fmt::format("is no JSON: a fault at byte {}", fault.byte));
  } catch (const json::exception&) {
    throw Unreadable("has a number that is too large");
  }
}

Findings no_file() {
  return Findings(*Source::scan("", "\n"));
}

std::vector<std::string> messages(const Findings& findings) {
  std::vector<std::string> out;
  for (const Fault& fault : findings.faults()) out.push_back(fault.message);
  return out;
}

}  // namespace

std::expected<std::vector<Backend>, std::vector<std::string>> read_backends(const std::string& path,
                                                                            std::string_view json_text) {
  const auto refuse = [&](std::vector<std::string> faults) {
    for (std::string& fault : faults) {
      // It is shown on a terminal, and a document's bytes are not to speak to that.
      std::ranges::replace_if(fault, [](char c) { return (c >= 0 && c < ' ') || c == 0x7f; }, '?');
      fault.insert(0, path + ": ");
    }
    return std::unexpected(std::move(faults));
  };
  if (json_text.size() > kMaxTextBytes) return refuse({fmt::format("is longer than {} MiB", kMaxTextBytes >> 20)});
  Pool out;
  Findings findings = no_file();
  try {
    const json document = parse(json_text);
    if (!document.is_object()) throw Unreadable("is no JSON object");
    libconfig::Config tree;
    fill(tree.getRoot(), document, 1);
    read_group(Value{tree.getRoot(), "", findings}, discovered_settings(), out);
  } catch (const Unreadable& fault) {
    return refuse({fault.what()});
  }
  if (auto faults = messages(findings); !faults.empty()) return refuse(std::move(faults));
  return std::move(out.backends);
}

std::vector<std::string> faults_of(const Config& config) {
  Findings findings = no_file();
  check_rules(config, findings);
  return messages(findings);
}

}  // namespace sluice::config
