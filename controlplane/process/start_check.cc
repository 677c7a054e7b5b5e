// SPDX-License-Identifier: Apache-2.0
#include "controlplane/process/start_check.h"

#include <fmt/format.h>
#include <grp.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <set>
#include <string>

#include "config/load.h"
#include "controlplane/base/tls_files.h"
#include "controlplane/base/watched_file.h"
#include "controlplane/changes/block_file.h"
#include "controlplane/http/access.h"
#include "controlplane/model/model.h"
#include "healthcheck/tls.h"

namespace sluice::control {

namespace {

/// As the data plane takes a key file (docs/peers.md).
constexpr off_t kLeastKeyBytes = 32;
constexpr off_t kMostKeyBytes = 4096;
constexpr mode_t kForbiddenKeyModes = S_IRWXO | S_IWGRP | S_IXGRP;

void check_tokens(const config::Control& control, config::Findings& findings) {
  for (const auto& [setting, path] : {std::pair("control.token_file", &control.token_file),
                                      std::pair("control.read_token_file", &control.read_token_file),
                                      std::pair("control.placement_secret_file", &control.placement_secret_file)}) {
    if (path->empty()) continue;
    if (const auto token = Token::read(*path); !token) findings.add(setting, token.error());
  }
}

void check_api_group(const config::Control& control, config::Findings& findings) {
  if (control.api_group.empty() || getgrnam(control.api_group.c_str()) != nullptr) return;
  findings.add("control.api_group",
               fmt::format("there is no group \"{}\"; allowed: one that this host knows", control.api_group));
}

/// Those that some service uses: no other is made.
std::set<std::string> used_checks(const config::Config& config) {
  std::set<std::string> out;
  for (const config::Service& service : config.services_and_routes()) {
    const config::Pool* pool = config.find_pool(service.pool);
    out.insert(service.check.empty() && pool != nullptr ? pool->check : service.check);
  }
  return out;
}

/// "" or what is wrong with all certificates of a file in PEM form.
std::string fault_of_certificates(const std::string& path) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> file(BIO_new_file(path.c_str(), "r"), &BIO_free);
  size_t certificates = 0, expired = 0;
  while (file) {
    const std::unique_ptr<X509, decltype(&X509_free)> next(PEM_read_bio_X509(file.get(), nullptr, nullptr, nullptr),
                                                           &X509_free);
    if (!next) break;
    certificates++;
    expired += X509_cmp_current_time(X509_get0_notAfter(next.get())) < 0;
  }
  if (certificates == 0 || expired != certificates) return "";
  return certificates == 1 ? path + ": the certificate in it has expired"
                           : fmt::format("{}: all {} certificates in it have expired", path, certificates);
}

void check_certificates(const config::Config& config, config::Findings& findings) {
  const std::set<std::string> used = used_checks(config);
  for (const config::Check& check : config.checks) {
    if ((!check.verify && !check.mta_sts) || !used.contains(check.name)) continue;
    config::Check verifying = check;
    verifying.verify = true;  // by `mta_sts` the file is read as by `verify`
    const std::string path = fmt::format("checks.{}.ca_file", check.name);
    struct stat info{};
    const bool is_there = !check.ca_file.empty() && stat(check.ca_file.c_str(), &info) == 0;
    if (is_there && !S_ISREG(info.st_mode)) {
      findings.add(path, check.ca_file + ": is not a file");
    } else if (const auto context = health::make_tls_context(verifying); !context) {
      findings.add(path, context.error());
    } else if (const std::string fault = fault_of_certificates(check.ca_file); !fault.empty()) {
      findings.add(path, fault + ": it lets nobody's certificate pass; allowed: certificates that are valid");
    }
  }
}

void check_key(const config::Peers& peers, config::Findings& findings) {
  if (peers.key_file.empty()) return;
  const auto fault = [&](const std::string& what) {
    findings.add("fleet.peers.key_file", fmt::format("{}: {}", peers.key_file, what));
  };
  struct stat info{};
  if (stat(peers.key_file.c_str(), &info) != 0) return fault(std::strerror(errno));
  if (!S_ISREG(info.st_mode)) return fault("is not a file");
  if ((info.st_mode & kForbiddenKeyModes) != 0)
    return fault(fmt::format("has mode {:04o}; allowed: what its owner may do, and reading for its group: 0600, 0640",
                             info.st_mode & 07777));
  if (info.st_size < kLeastKeyBytes || info.st_size > kMostKeyBytes)
    fault(fmt::format("holds {} bytes; allowed: {} to {}", info.st_size, kLeastKeyBytes, kMostKeyBytes));
}

/// A file of certificates, or "", of which one at least is to be valid.
void check_expiry(const std::string& setting, const std::string& path, config::Findings& findings) {
  if (path.empty()) return;
  if (const std::string fault = fault_of_certificates(path); !fault.empty())
    findings.add(setting, fault + "; allowed: one that is valid");
}

/// A file that holds a key, or "".
void check_key_mode(const std::string& setting, const std::string& path, config::Findings& findings) {
  struct stat info{};
  if (path.empty() || stat(path.c_str(), &info) != 0 || (info.st_mode & kForbiddenKeyModes) == 0) return;
  findings.add(setting,
               fmt::format("{}: has mode {:04o}; allowed: what its owner may do, and reading for its group: 0600, 0640",
                           path, info.st_mode & 07777));
}

/// `group`: of the settings, "control.tls.". `ca_setting`: what it calls those who vouch for the others.
void check_tls(const std::string& group, const TlsRead& read, const std::string& ca_setting, const std::string& ca_file,
               const std::string& cert_file, const std::string& key_file, config::Findings& findings) {
  if (!read) return findings.add(group + read.error().setting, read.error().words);
  check_expiry(group + ca_setting, ca_file, findings);
  check_expiry(group + "cert_file", cert_file, findings);
  check_key_mode(group + "key_file", key_file, findings);
}

void check_etcd(const config::Fleet& fleet, config::Findings& findings) {
  if (const auto& etcd = fleet.etcd)
    check_tls("fleet.etcd.", etcd_tls(*etcd), "ca_file", etcd->ca_file, etcd->cert_file, etcd->key_file, findings);
}

void check_http_tls(const config::Control& control, config::Findings& findings) {
  if (const auto& tls = control.tls)
    check_tls("control.tls.", http_tls(*tls), "client_ca_file", tls->client_ca_file, tls->cert_file, tls->key_file,
              findings);
}

void check_block_file(const config::Sources& sources, config::Findings& findings) {
  if (sources.block_file.empty()) return;
  const auto text = read_regular_file(sources.block_file);
  const auto prefixes = text ? block_list_from(*text, sources.block_file) : std::unexpected(text.error());
  if (!prefixes) findings.add("sources.block_file", prefixes.error());
}

void check_discovered(const config::Config& config, config::Findings& findings) {
  for (size_t i = 0; i < config.pools.size(); i++) {
    const config::Pool& pool = config.pools[i];
    if (!pool.discover || pool.discover->file.empty()) continue;
    const std::string path = fmt::format("pools[{}].discover.file", i);
    const auto text = read_regular_file(pool.discover->file);
    if (!text) {
      findings.add(path, text.error());
    } else if (const auto backends = config::read_backends(pool.discover->file, *text); !backends) {
      for (const std::string& fault : backends.error()) findings.add(path, fault);
    }
  }
}

/// Where files are to be made: a directory that is there, or that can be.
std::string fault_of_directory(const std::filesystem::path& directory, bool may_be_made) {
  std::error_code error;
  std::filesystem::path place = directory;
  while (may_be_made && !std::filesystem::exists(place, error) && place.has_relative_path())
    place = place.parent_path();
  if (!std::filesystem::exists(place, error)) return fmt::format("there is no directory {}", directory.string());
  if (!std::filesystem::is_directory(place, error)) return place.string() + " is no directory";
  // What this user may not, the one that control runs as may.
  if (access(place.c_str(), W_OK | X_OK) == 0 || errno == EACCES) return "";
  return fmt::format("no file can be made in {}: {}", place.string(), std::strerror(errno));
}

void check_directories(const config::Config& config, config::Findings& findings) {
  if (const std::string fault = fault_of_directory(config.control.state, true); !fault.empty())
    findings.add("control.state", fault + "; allowed: where control may write, or changes by hand end with it");
  constexpr std::string_view kFile = "file:";
  if (!config.records.to.starts_with(kFile)) return;
  const std::filesystem::path file = config.records.to.substr(kFile.size());
  if (const std::string fault = fault_of_directory(file.parent_path(), false); !fault.empty())
    findings.add("records.to", fault);
}

}  // namespace

void check_start(const config::Config& config, config::Findings& findings) {
  if (const std::string fault = table_memory_fault(table_memory(config)); !fault.empty())
    findings.add("services", fault);
  check_tokens(config.control, findings);
  check_api_group(config.control, findings);
  check_http_tls(config.control, findings);
  check_certificates(config, findings);
  check_key(config.fleet.peers, findings);
  check_etcd(config.fleet, findings);
  check_block_file(config.sources, findings);
  check_discovered(config, findings);
  check_directories(config, findings);
}

}  // namespace sluice::control
