"""The bar that stands over the page whatever else is open: STOP, and the state in words.

It speaks plain HTTP to :mod:`neon_ros.show.gate` and so works while the 3D scene loads, stalls or is hidden.
"""

from __future__ import annotations

BAR = """
<style>
#neon-bar{position:fixed;left:12px;top:12px;z-index:2147483647;display:flex;align-items:center;gap:12px;
 font:600 16px/1.25 system-ui,sans-serif;max-width:min(760px,calc(100vw - 24px));pointer-events:none}
#neon-stop{pointer-events:auto;min-width:150px;min-height:64px;border:3px solid #fff;border-radius:12px;cursor:pointer;
 background:#b00020;color:#fff;font:800 28px/1 system-ui,sans-serif;letter-spacing:2px;
 box-shadow:0 2px 8px rgba(0,0,0,.45);touch-action:manipulation}
#neon-stop small{display:block;margin-top:4px;font:600 12px/1 system-ui,sans-serif;letter-spacing:0}
#neon-stop:active,#neon-stop.asked{background:#5c0010}
#neon-stop:focus-visible{outline:4px solid #000}
#neon-state{background:rgba(255,255,255,.94);color:#111;border:2px solid #333;border-radius:8px;padding:6px 10px;
 min-width:0;overflow-wrap:anywhere}
#neon-state div{font-weight:400;font-size:14px}
@media (hover:none){#neon-stop small{display:none}}
#neon-bar.lost #neon-state{border:4px dashed #b00020}
.mantine-Notifications-root{top:104px!important}
@media (max-width:768px){#neon-bar{left:8px;right:8px;top:8px;gap:8px;max-width:none}
 .mantine-Notifications-root{top:124px!important}
 #neon-stop{min-width:112px}#neon-state{flex:1;font-size:14px}#neon-state div{font-size:12px}
 .mantine-Paper-root[style*="position: fixed"]{width:100%!important;max-height:46%!important}
 .mantine-Paper-root[style*="position: fixed"] [style*="width: 20em"]{width:100%!important}}
</style>
<div id="neon-bar" role="region" aria-label="robot">
 <button id="neon-stop" type="button" aria-label="Stop the robot">STOP<small>S or Esc</small></button>
 <div id="neon-state" role="status" aria-live="polite">connecting</div>
</div>
<script>
(function(){
 var bar=document.getElementById('neon-bar'),stop=document.getElementById('neon-stop');
 var state=document.getElementById('neon-state'),answer='',until=0;
 function show(words,more,lost){
  bar.className=lost?'lost':'';state.textContent=words;
  [more,Date.now()<until?answer:''].forEach(function(text){
   if(text){var line=document.createElement('div');line.textContent=text;state.appendChild(line);}});
 }
 function ask(path,options){
  var cut=new AbortController(),timer=setTimeout(function(){cut.abort();},4000);
  return fetch(path,Object.assign({cache:'no-store',signal:cut.signal},options))
   .finally(function(){clearTimeout(timer);});
 }
 function halt(){
  stop.className='asked';answer='stop: asking';until=Date.now()+8000;
  ask('/neon/stop',{headers:{'X-Neon-Stop':'1'}}).then(function(r){return r.text();})
   .then(function(text){answer=text;until=Date.now()+8000;})
   .catch(function(){answer='stop: NOT DELIVERED, use the remote';until=Date.now()+60000;})
   .finally(function(){stop.className='';look();});
 }
 var timer=null;
 function look(){
  clearTimeout(timer);
  ask('/neon/state').then(function(r){if(!r.ok)throw 0;return r.json();})
   .then(function(s){show(s.words,s.more,false);})
   .catch(function(){show('CONNECTION LOST','what is drawn here is old; use the remote to stop',true);})
   .finally(function(){timer=setTimeout(look,document.hidden?5000:1000);});
 }
 stop.addEventListener('click',halt);
 window.addEventListener('keydown',function(e){
  var t=e.target,typing=t&&(t.isContentEditable||/^(INPUT|TEXTAREA|SELECT)$/.test(t.tagName));
  var plain=!(e.ctrlKey||e.metaKey||e.altKey||e.repeat);
  if(plain&&(e.key==='Escape'||(!typing&&(e.key==='s'||e.key==='S')))){e.preventDefault();e.stopPropagation();halt();}
 },true);
 look();
})();
</script>
"""


def inserted(page: bytes) -> bytes:
    """Return the page with the bar at the end of its body; a page without a body end gets it at its own end."""
    head, end, tail = page.rpartition(b"</body>")
    return head + BAR.encode() + end + tail if end else page + BAR.encode()
