// SPDX-License-Identifier: Apache-2.0
//
// The page in the making: families and their samples in the order in which they are written, a row at a time, so that
// a page of many backends can be written in turns.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "controlplane/http/long_answer.h"
#include "controlplane/metrics/writer.h"

namespace sluice::control {

class MetricsPage {
 public:
  /// What goes before the rest, as what it writes is not known yet: `work(row)` for each row.
  void gather(size_t rows, std::function<void(size_t)> work);
  /// As of MetricsWriter; `help` outlives the page.
  void begin(std::string name, MetricType type, std::string_view help);
  /// Samples of the family begun last: `write(writer, row)` for each row.
  void rows(size_t count, std::function<void(MetricsWriter&, size_t)> write);
  /// What is short: whole families.
  void write(std::function<void(MetricsWriter&)> families);

  /// `bytes`: of the last page, for which room is made at once; it becomes this one's.
  LongAnswer take(std::shared_ptr<size_t> bytes) &&;

 private:
  Steps steps_;
  std::shared_ptr<MetricsWriter> writer_ = std::make_shared<MetricsWriter>();
};

}  // namespace sluice::control
