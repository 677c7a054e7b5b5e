// SPDX-License-Identifier: Apache-2.0
#include "config/load.h"

#include <fmt/format.h>

#include <libconfig.h++>
#include <utility>

#include "config/file/findings.h"
#include "config/file/source.h"
#include "config/schema/rules.h"
#include "config/schema/settings.h"
#include "config/schema/warnings.h"

namespace sluice::config {

namespace {

// libconfig's words, with what it does not say.
std::string syntax_message(const std::string& error) {
  if (error == "syntax error")
    return "syntax error here or just before; allowed: NAME = VALUE; NAME: { ... }; NAME = ( {...}, {...} ); with text "
           "in quotes and no comma after the last element";
  if (error == "mismatched element type in array") return "an array holds values of one type; allowed: all of one type";
  return error + "; allowed: the syntax of libconfig";
}

std::expected<Reading, std::vector<Fault>> read_source(std::expected<Source, std::vector<Fault>> source) {
  if (!source) return std::unexpected(source.error());
  Reading out{{}, Findings(std::move(*source))};
  libconfig::Config file;
  try {
    file.readString(out.findings.text());
  } catch (const libconfig::ParseException& error) {
    out.findings.add_at(static_cast<unsigned>(error.getLine()), syntax_message(error.getError()));
    return std::unexpected(out.findings.faults());
  }
  read_group(Value{file.getRoot(), "", out.findings}, settings(), out.config);
  fill_in(out.config, out.findings);
  check_rules(out.config, out.findings);
  auto faults = out.findings.faults();
  if (!faults.empty()) return std::unexpected(std::move(faults));
  add_warnings(out.config, out.findings);
  return out;
}

std::expected<Config, std::vector<Fault>> config_of(std::expected<Reading, std::vector<Fault>> reading) {
  if (!reading) return std::unexpected(std::move(reading.error()));
  return std::move(reading->config);
}

}  // namespace

std::expected<Reading, std::vector<Fault>> read_config(const std::string& path) {
  return read_source(Source::read(path));
}

std::expected<Reading, std::vector<Fault>> read_config_text(const std::string& path, const std::string& text) {
  return read_source(Source::scan(path, text));
}

std::expected<Config, std::vector<Fault>> load(const std::string& path) {
  return config_of(read_config(path));
}

std::expected<Config, std::vector<Fault>> load_text(const std::string& path, const std::string& text) {
  return config_of(read_config_text(path, text));
}

}  // namespace sluice::config
