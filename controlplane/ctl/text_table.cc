// SPDX-License-Identifier: Apache-2.0
#include "controlplane/ctl/text_table.h"

#include <algorithm>
#include <string_view>

namespace sluice::ctl {

namespace {

std::string_view escape_for(Colour colour) {
  switch (colour) {
    case Colour::kGood:
      return "\x1b[32m";
    case Colour::kBad:
      return "\x1b[31m";
    case Colour::kCaution:
      return "\x1b[33m";
    case Colour::kNone:
      return "";
  }
  return "";
}

/// Columns that the text takes: code points, as UTF-8 names of backends are possible.
size_t width_of(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

}  // namespace

TextTable::TextTable(std::vector<std::string> columns) : columns_(std::move(columns)) {
  for (std::string& column : columns_) {
    right_.push_back(column.starts_with('>'));
    if (right_.back()) column.erase(0, 1);
  }
}

void TextTable::add(std::vector<Cell> row) {
  rows_.push_back(std::move(row));
}

std::string TextTable::to_string(bool colours) const {
  std::vector<size_t> widths;
  for (size_t i = 0; i < columns_.size(); i++) {
    widths.push_back(width_of(columns_[i]));
    for (const auto& row : rows_) widths[i] = std::max(widths[i], width_of(row[i].text));
  }
  std::string out;
  const auto put_row = [&](const std::vector<Cell>& row) {
    std::string line;
    for (size_t i = 0; i < row.size(); i++) {
      const std::string padding(widths[i] - width_of(row[i].text), ' ');
      const std::string_view escape = colours ? escape_for(row[i].colour) : "";
      if (i != 0) line += "  ";
      if (right_[i]) line += padding;
      line.append(escape).append(row[i].text).append(escape.empty() ? "" : "\x1b[0m");
      if (!right_[i]) line += padding;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + '\n';
  };
  put_row(std::vector<Cell>(columns_.begin(), columns_.end()));
  for (const auto& row : rows_) put_row(row);
  return out;
}

}  // namespace sluice::ctl
