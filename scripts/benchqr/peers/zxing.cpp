// zxing-cpp as a peer: Debian's 1.4, all its help for hard pictures switched on.
#define ZX_USE_UTF8
#include <ZXing/ReadBarcode.h>

#include "serve.h"

int main() {
  ZXing::DecodeHints hints;
  hints.setFormats(ZXing::BarcodeFormat::QRCode).setTryHarder(true).setTryRotate(true);
  return serve([&](const uint8_t* pixels, int width, int height, int most) {
    ZXing::ImageView view(pixels, width, height, ZXing::ImageFormat::Lum);
    std::vector<std::string> texts;
    if (most <= 1) {
      auto result = ZXing::ReadBarcode(view, hints);
      if (result.isValid()) texts.push_back(result.text());
      return texts;
    }
    for (const auto& result : ZXing::ReadBarcodes(view, hints))
      if (result.isValid()) texts.push_back(result.text());
    return texts;
  });
}
