"""The functions of an exported C header, by operation. `@` stands for the prefix of all names.

Maps are (H, W, C) in memory. Every function may write over its first input if the shapes are alike, unless it says so.
"""

from __future__ import annotations

CONVOLUTION = """\
/* Cross-correlate a map with a bank of filters, (kh, kw, c / groups, f); y must not overlap x. */
static inline void @convolution(const float *x, int h, int w, int c, float *y, int oh, int ow, int f,
                                const WEIGHT *weight, const float *scale, const float *bias, int kh, int kw, int sh,
                                int sw, int dh, int dw, int top, int left, int groups) {
  const int depth = c / groups, count = f / groups;
  for (int i = 0; i < oh; i++)
    for (int j = 0; j < ow; j++) {
      float *out = y + ((size_t)i * (size_t)ow + (size_t)j) * (size_t)f;
      for (int k = 0; k < f; k++) out[k] = 0.0f;
      for (int u = 0; u < kh; u++) {
        const int row = i * sh + u * dh - top;
        if (row < 0 || row >= h) continue;
        for (int v = 0; v < kw; v++) {
          const int column = j * sw + v * dw - left;
          if (column < 0 || column >= w) continue;
          const float *in = x + ((size_t)row * (size_t)w + (size_t)column) * (size_t)c;
          const WEIGHT *tap = weight + ((size_t)u * (size_t)kw + (size_t)v) * (size_t)depth * (size_t)f;
          if (depth == 1 && count == 1) {
            for (int k = 0; k < f; k++) out[k] += in[k] * (float)tap[k];
            continue;
          }
          for (int g = 0; g < groups; g++)
            for (int a = 0; a < depth; a++) {
              const float value = in[g * depth + a];
              const WEIGHT *filters = tap + (size_t)a * (size_t)f + (size_t)(g * count);
              for (int k = 0; k < count; k++) out[g * count + k] += value * (float)filters[k];
            }
        }
      }
      for (int k = 0; k < f; k++) out[k] = out[k] * (scale ? scale[k] : 1.0f) + bias[k];
    }
}
"""

FUNCTIONS = {
    "convolution": CONVOLUTION.replace("WEIGHT", "float"),
    "convolution8": CONVOLUTION.replace("WEIGHT", "signed char").replace("@convolution", "@convolution8"),
    "transposed": """\
/* Spread each pixel over a window of the output; filters are (kh, kw, f / groups, c); y must not overlap x. */
static inline void @transposed(const float *x, int h, int w, int c, float *y, int oh, int ow, int f,
                               const float *weight, const float *bias, int kh, int kw, int sh, int sw, int dh, int dw,
                               int top, int left, int groups) {
  const int depth = c / groups, count = f / groups;
  for (int i = 0; i < oh * ow; i++)
    for (int k = 0; k < f; k++) y[(size_t)i * (size_t)f + (size_t)k] = bias[k];
  for (int i = 0; i < h; i++)
    for (int j = 0; j < w; j++) {
      const float *in = x + ((size_t)i * (size_t)w + (size_t)j) * (size_t)c;
      for (int u = 0; u < kh; u++) {
        const int row = i * sh + u * dh - top;
        if (row < 0 || row >= oh) continue;
        for (int v = 0; v < kw; v++) {
          const int column = j * sw + v * dw - left;
          if (column < 0 || column >= ow) continue;
          float *out = y + ((size_t)row * (size_t)ow + (size_t)column) * (size_t)f;
          const float *tap = weight + ((size_t)u * (size_t)kw + (size_t)v) * (size_t)count * (size_t)c;
          for (int g = 0; g < groups; g++)
            for (int k = 0; k < count; k++) {
              float total = 0.0f;
              const float *filter = tap + (size_t)k * (size_t)c + (size_t)(g * depth);
              for (int a = 0; a < depth; a++) total += in[g * depth + a] * filter[a];
              out[g * count + k] += total;
            }
        }
      }
    }
}
""",
    "maximum": """\
/* Take the maximum of each window; y must not overlap x. */
static inline void @maximum(const float *x, int h, int w, int c, float *y, int oh, int ow, int kh, int kw, int sh,
                            int sw, int top, int left) {
  for (int i = 0; i < oh; i++)
    for (int j = 0; j < ow; j++) {
      float *out = y + ((size_t)i * (size_t)ow + (size_t)j) * (size_t)c;
      for (int k = 0; k < c; k++) out[k] = -INFINITY;
      for (int row = i * sh - top; row < i * sh - top + kh; row++)
        for (int column = j * sw - left; column < j * sw - left + kw; column++) {
          if (row < 0 || row >= h || column < 0 || column >= w) continue;
          const float *in = x + ((size_t)row * (size_t)w + (size_t)column) * (size_t)c;
          for (int k = 0; k < c; k++)
            if (in[k] > out[k]) out[k] = in[k];
        }
    }
}
""",
    "resize": """\
/* Take weighted means of windows of kh rows and kw columns; y must not overlap x. */
static inline void @resize(const float *x, int w, int c, float *y, int oh, int ow, const int *row_start,
                           const float *row_weight, int kh, const int *column_start, const float *column_weight,
                           int kw) {
  for (int i = 0; i < oh; i++)
    for (int j = 0; j < ow; j++) {
      float *out = y + ((size_t)i * (size_t)ow + (size_t)j) * (size_t)c;
      for (int k = 0; k < c; k++) out[k] = 0.0f;
      for (int p = 0; p < kh; p++)
        for (int q = 0; q < kw; q++) {
          const float share = row_weight[i * kh + p] * column_weight[j * kw + q];
          const float *in =
              x + ((size_t)(row_start[i] + p) * (size_t)w + (size_t)(column_start[j] + q)) * (size_t)c;
          for (int k = 0; k < c; k++) out[k] += share * in[k];
        }
    }
}
""",
    "affine": """\
static inline void @affine(const float *x, int pixels, int c, float *y, const float *scale, const float *shift) {
  for (int i = 0; i < pixels; i++)
    for (int k = 0; k < c; k++) {
      const size_t at = (size_t)i * (size_t)c + (size_t)k;
      y[at] = x[at] * scale[k] + shift[k];
    }
}
""",
    "group_norm": """\
static inline void @group_norm(const float *x, int pixels, int c, float *y, const float *scale, const float *shift,
                               int groups, double eps) {
  const int each = c / groups;
  for (int g = 0; g < groups; g++) {
    double mean = 0.0, variance = 0.0;
    for (int i = 0; i < pixels; i++)
      for (int k = g * each; k < (g + 1) * each; k++) mean += (double)x[(size_t)i * (size_t)c + (size_t)k];
    mean /= (double)pixels * each;
    for (int i = 0; i < pixels; i++)
      for (int k = g * each; k < (g + 1) * each; k++) {
        const double off = (double)x[(size_t)i * (size_t)c + (size_t)k] - mean;
        variance += off * off;
      }
    const double deviation = sqrt(variance / ((double)pixels * each) + eps);
    for (int i = 0; i < pixels; i++)
      for (int k = g * each; k < (g + 1) * each; k++) {
        const size_t at = (size_t)i * (size_t)c + (size_t)k;
        y[at] = (float)(((double)x[at] - mean) / deviation) * scale[k] + shift[k];
      }
  }
}
""",
    "layer_norm": """\
static inline void @layer_norm(const float *x, int count, float *y, const float *scale, const float *shift, int span,
                               double eps) {
  for (int start = 0; start < count; start += span) {
    double mean = 0.0, variance = 0.0;
    for (int k = 0; k < span; k++) mean += (double)x[start + k];
    mean /= span;
    for (int k = 0; k < span; k++) variance += ((double)x[start + k] - mean) * ((double)x[start + k] - mean);
    const double deviation = sqrt(variance / span + eps);
    for (int k = 0; k < span; k++)
      y[start + k] = (float)(((double)x[start + k] - mean) / deviation) * scale[k] + shift[k];
  }
}
""",
    "response_norm": """\
/* Divide each channel by what its neighbors amount to; y must not overlap x. */
static inline void @response_norm(const float *x, int pixels, int c, float *y, int before, int behind, float factor,
                                  float beta, float k) {
  for (int i = 0; i < pixels; i++)
    for (int m = 0; m < c; m++) {
      const float *in = x + (size_t)i * (size_t)c;
      float total = 0.0f;
      for (int n = m - before; n <= m + behind; n++)
        if (n >= 0 && n < c) total += in[n] * in[n];
      y[(size_t)i * (size_t)c + (size_t)m] = in[m] * powf(k + factor * total, -beta);
    }
}
""",
    "take": """\
/* Choose channels; y must not overlap x. */
static inline void @take(const float *x, int pixels, int c, float *y, int f, const int *channels) {
  for (int i = 0; i < pixels; i++)
    for (int k = 0; k < f; k++) y[(size_t)i * (size_t)f + (size_t)k] = x[(size_t)i * (size_t)c + (size_t)channels[k]];
}
""",
    "prelu": """\
static inline void @prelu(const float *x, int pixels, int c, float *y, const float *slope) {
  for (int i = 0; i < pixels; i++)
    for (int k = 0; k < c; k++) {
      const size_t at = (size_t)i * (size_t)c + (size_t)k;
      y[at] = x[at] > 0.0f ? x[at] : slope[k] * x[at];
    }
}
""",
    "softmax": """\
static inline void @softmax(const float *x, int pixels, int c, float *y) {
  for (int i = 0; i < pixels; i++) {
    const float *in = x + (size_t)i * (size_t)c;
    float *out = y + (size_t)i * (size_t)c, largest = in[0], total = 0.0f;
    for (int k = 1; k < c; k++)
      if (in[k] > largest) largest = in[k];
    for (int k = 0; k < c; k++) total += out[k] = expf(in[k] - largest);
    for (int k = 0; k < c; k++) out[k] /= total;
  }
}
""",
    "sigmoids": """\
/* Each number's share of the sum of sigmoids: the softmax of their logarithms, in which nothing underflows. */
static inline void @sigmoids(const float *x, int pixels, int c, float *y) {
  for (int i = 0; i < pixels * c; i++) y[i] = (x[i] < 0.0f ? x[i] : 0.0f) - log1pf(expf(-fabsf(x[i])));
  @softmax(y, pixels, c, y);
}
""",
    "hardsigmoids": """\
/* Each number's share of the sum of hard sigmoids; that of sigmoids where all of them are 0. */
static inline void @hardsigmoids(const float *x, int pixels, int c, float *y) {
  float total = 0.0f;
  (void)pixels;
  for (int k = 0; k < c; k++) total += fminf(fmaxf(x[k] / 6.0f + 0.5f, 0.0f), 1.0f);
  if (!(total > 1e-30f)) {
    @sigmoids(x, 1, c, y);
    return;
  }
  for (int k = 0; k < c; k++) y[k] = fminf(fmaxf(x[k] / 6.0f + 0.5f, 0.0f), 1.0f) / total;
}
""",
    "add": """\
static inline void @add(const float *a, const float *b, int count, float *y) {
  for (int i = 0; i < count; i++) y[i] = a[i] + b[i];
}
""",
    "concatenate": """\
/* Copy a map to some channels of another. */
static inline void @concatenate(const float *x, int pixels, int c, float *y, int start, int f) {
  for (int i = 0; i < pixels; i++)
    for (int k = 0; k < c; k++) y[(size_t)i * (size_t)f + (size_t)(start + k)] = x[(size_t)i * (size_t)c + (size_t)k];
}
""",
    "multiply": """\
/* Multiply a map by another, or by one number for each channel. */
static inline void @multiply(const float *x, const float *gate, int pixels, int c, float *y, int gates) {
  for (int i = 0; i < pixels; i++)
    for (int k = 0; k < c; k++) {
      const size_t at = (size_t)i * (size_t)c + (size_t)k;
      y[at] = x[at] * gate[gates == 1 ? (size_t)k : at];
    }
}
""",
}
"""In an order in which each function stands after those that it calls."""

NEEDS = {"sigmoids": ("softmax",), "hardsigmoids": ("sigmoids", "softmax")}

ELEMENTWISE = {
    "relu": "x[i] > 0.0f ? x[i] : 0.0f",
    "relu6": "fminf(fmaxf(x[i], 0.0f), 6.0f)",
    "elu": "x[i] > 0.0f ? x[i] : alpha * expm1f(x[i])",
    "silu": "x[i] / (1.0f + expf(-x[i]))",
    "gelu": "0.5f * x[i] * (1.0f + erff(x[i] * 0.70710678f))",
    "gelu_tanh": "0.5f * x[i] * (1.0f + tanhf(0.79788456f * (x[i] + 0.044715f * x[i] * x[i] * x[i])))",
    "hardswish": "x[i] * fminf(fmaxf(x[i] / 6.0f + 0.5f, 0.0f), 1.0f)",
    "hardsigmoid": "fminf(fmaxf(x[i] / 6.0f + 0.5f, 0.0f), 1.0f)",
    "sigmoid": "1.0f / (1.0f + expf(-x[i]))",
    "tanh": "tanhf(x[i])",
}


def function(kind: str, prefix: str) -> str:
    """Return the function of a kind of operations.

    >>> print(function("tanh", "net_"))
    static inline void net_tanh(const float *x, int count, float *y) {
      for (int i = 0; i < count; i++) y[i] = tanhf(x[i]);
    }
    <BLANKLINE>
    """
    if kind in ELEMENTWISE:
        more = ", float alpha" if kind == "elu" else ""
        text = (
            f"static inline void @{kind}(const float *x, int count, float *y{more}) {{\n"
            f"  for (int i = 0; i < count; i++) y[i] = {ELEMENTWISE[kind]};\n}}\n"
        )
    else:
        text = FUNCTIONS[kind]
    return text.replace("@", prefix)
