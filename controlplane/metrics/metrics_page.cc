// SPDX-License-Identifier: Apache-2.0
#include "controlplane/metrics/metrics_page.h"

#include <utility>

namespace sluice::control {

void MetricsPage::gather(size_t rows, std::function<void(size_t)> work) {
  steps_.add(rows, std::move(work));
}

void MetricsPage::begin(std::string name, MetricType type, std::string_view help) {
  steps_.add(1, [writer = writer_, name = std::move(name), type, help](size_t) { writer->begin(name, type, help); });
}

void MetricsPage::rows(size_t count, std::function<void(MetricsWriter&, size_t)> write) {
  steps_.add(count, [writer = writer_, write = std::move(write)](size_t row) { write(*writer, row); });
}

void MetricsPage::write(std::function<void(MetricsWriter&)> families) {
  rows(1, [families = std::move(families)](MetricsWriter& writer, size_t) { families(writer); });
}

LongAnswer MetricsPage::take(std::shared_ptr<size_t> bytes) && {
  writer_->reserve(*bytes);
  return {std::move(steps_), [writer = writer_, bytes = std::move(bytes)] {
            ApiResponse out{.content_type = std::string(kMetricsContentType), .body = writer->take()};
            *bytes = out.body.size();
            return out;
          }};
}

}  // namespace sluice::control
