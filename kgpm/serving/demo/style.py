"""How the page looks. Nothing of it comes from another host."""

import gradio as gr

CSS = """
.gradio-container { max-width: 1200px !important; margin: 0 auto !important; }
.kgpm-part { border-top: 1px solid var(--border-color-primary);
  padding-top: 12px; gap: 10px; }
.kgpm-part h2 { font-size: 20px; margin: 0; }
.kgpm-part h2 b { display: inline-block; width: 28px; height: 28px;
  line-height: 28px; margin-right: 6px; border-radius: 50%; color: white;
  background: var(--primary-600); text-align: center; font-size: 16px; }
.kgpm-part p { margin: 4px 0 0; }
.gradio-container .html-container { padding: 0; }
.kgpm-controls { align-items: flex-end; }
.kgpm-said { font-size: 16px; }
.kgpm-mistake { color: var(--error-text-color); font-weight: 600; }
.kgpm-grid { border: none; border-collapse: collapse; margin: 0;
  table-layout: fixed; width: 100%; }
.kgpm-grid tr, .kgpm-grid th, .kgpm-grid td { border: none; }
.kgpm-grid th, .kgpm-grid td { padding: 2px 3px; font-size: 12px;
  font-weight: normal; text-align: center; vertical-align: top;
  background: none; }
.kgpm-grid th { vertical-align: bottom; }
.kgpm-grid img { width: 100%; margin: 0 0 2px; image-rendering: pixelated;
  outline: 1px solid var(--border-color-primary); }
.kgpm-grid span { white-space: nowrap; }
.kgpm-apart { width: calc(100% - 14px); }
.kgpm-apart th:last-child, .kgpm-apart td:last-child { position: relative;
  left: 14px; }
.kgpm-apart td:last-child img { outline: 2px solid var(--primary-600); }
.kgpm-rows summary { cursor: pointer; }
.kgpm-rows img { width: 100%; max-width: 800px; margin: 6px 0;
  image-rendering: pixelated; }
"""


def theme() -> gr.themes.Base:
    """Light and plain, in the fonts of the user's system."""
    return gr.themes.Default(
        primary_hue="blue",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
