// SPDX-License-Identifier: Apache-2.0
//
// The reference of all settings, made from their table.
#pragma once

#include <iosfwd>

namespace sluice::config {

/// Prints Markdown: a table for each top-level setting, with name, type, what is allowed, default and meaning.
void print_reference(std::ostream& out);

}  // namespace sluice::config
