// SPDX-License-Identifier: Apache-2.0
//
// The reference of all settings, made from their table.
#pragma once

#include <iosfwd>

namespace sluice::config {

/// Prints Markdown: a table for each top-level setting, with name, type, what is allowed, default and meaning.
void print_reference(std::ostream& out);

/// Prints sluice.cfg(5), in mdoc(7), with the same of each setting.
void print_man_page(std::ostream& out);

}  // namespace sluice::config
