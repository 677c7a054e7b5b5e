// SPDX-License-Identifier: Apache-2.0
#include "healthcheck/certificate.h"

#include <fmt/format.h>
#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <set>
#include <string_view>

namespace sluice::health {

namespace {

std::string hex(const unsigned char* bytes, size_t size) {
  std::string out;
  for (size_t i = 0; i < size; i++) out += fmt::format("{:02x}", bytes[i]);
  return out;
}

std::string certificate_sha256(const X509* certificate) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (X509_digest(certificate, EVP_sha256(), digest.data(), &size) != 1) return "";
  return hex(digest.data(), size);
}

/// Of the whole SubjectPublicKeyInfo, as a TLSA record with selector 1 has it (RFC 6698 section 2.1.2).
std::string key_sha256(const X509* certificate) {
  unsigned char* der = nullptr;
  const int der_size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
  if (der_size <= 0) return "";
  const auto free_der = [](unsigned char* bytes) { OPENSSL_free(bytes); };
  const std::unique_ptr<unsigned char, decltype(free_der)> owner(der, free_der);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (EVP_Digest(der, static_cast<size_t>(der_size), digest.data(), &size, EVP_sha256(), nullptr) != 1) return "";
  return hex(digest.data(), size);
}

std::string subject_of(X509* certificate) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), &BIO_free);
  if (X509_NAME_print_ex(bio.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) < 0) return "";
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return sanitised(std::string_view(text, static_cast<size_t>(size)), 256);
}

/// The epoch for a time that cannot be read, so that a broken certificate counts as expired.
std::chrono::sys_seconds to_time(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return {};
  return std::chrono::sys_seconds(std::chrono::seconds(timegm(&parts)));
}

}  // namespace

Certificate read_certificate(X509* certificate, std::chrono::system_clock::time_point now) {
  Certificate out;
  out.subject = subject_of(certificate);
  out.sha256 = certificate_sha256(certificate);
  out.key_sha256 = key_sha256(certificate);
  out.not_after = to_time(X509_get0_notAfter(certificate));
  out.left = out.not_after - std::chrono::floor<std::chrono::seconds>(now);
  return out;
}

std::shared_ptr<const PresentedChain> presented_chain(const STACK_OF(X509) * chain) {
  auto out = std::make_shared<PresentedChain>();
  for (int i = 0; i < std::min(sk_X509_num(chain), kMaxChain); i++) {
    unsigned char* der = nullptr;
    const int size = i2d_X509(sk_X509_value(chain, i), &der);
    if (size <= 0) break;
    out->emplace_back(reinterpret_cast<const char*>(der), static_cast<size_t>(size));
    OPENSSL_free(der);
  }
  return out;
}

std::vector<Disagreement> disagreements(const std::vector<Shown>& shown) {
  std::map<std::string, std::vector<const Shown*>> by_name;
  for (const Shown& one : shown) by_name[one.server_name].push_back(&one);
  std::vector<Disagreement> out;
  for (const auto& [name, members] : by_name) {
    std::set<std::string> certificates;
    std::set<std::string> keys;
    Disagreement found{.server_name = name};
    for (const Shown* one : members) {
      certificates.insert(one->certificate.sha256);
      keys.insert(one->certificate.key_sha256);
      found.keys.push_back(one->key + " (" + one->certificate.sha256 + ")");
    }
    found.keys_differ = keys.size() > 1;
    if (certificates.size() > 1) out.push_back(std::move(found));
  }
  return out;
}

}  // namespace sluice::health
